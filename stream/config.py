"""Settings: frozen values, each default with its reason; a leaf that imports nothing of ours.

Rules:

- Durations are in seconds, sizes in bytes, shares in [0, 1].
- What a value may be stands in its type (``Share``, ``Seconds``, ``Count``, …), so the loader, the
  documentation and the checks read the same thing.
- What concerns several fields at once is checked on construction, whoever constructs.
- A secret never shows: not in a repr, a log line or ``offerstream config show``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit


class ConfigError(Exception):
    """The operator's mistake: one line that names the setting and the way out."""


@dataclass(frozen=True, slots=True)
class Range:
    """The closed interval that a number must lie in; None leaves a side open."""

    low: float | None = None
    high: float | None = None

    def __contains__(self, value: object) -> bool:
        """Whether ``value`` is a number inside; NaN is not."""
        if not isinstance(value, int | float) or math.isnan(value):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        """Say it in words, for an error message.

        >>> str(Range(0, 1)), str(Range(1)), 0.5 in Range(0, 1), float("nan") in Range()
        ('from 0 to 1', 'at least 1', True, False)
        """
        if self.low is None:
            return "any number" if self.high is None else f"at most {self.high:,}"
        if self.high is None:
            return f"at least {self.low:,}"
        return f"from {self.low:,} to {self.high:,}"


MOST_GROUPS: Final = 8
Share: TypeAlias = Annotated[float, Range(0, 1)]
Seconds: TypeAlias = Annotated[float, Range(0, 10 * 365 * 86_400)]
Duration: TypeAlias = Annotated[float, Range(0.001, 10 * 365 * 86_400)]
KafkaDuration: TypeAlias = Annotated[float, Range(0.001, 2_147_483)]  # ms in 31 bits, there
Amount: TypeAlias = Annotated[float, Range(0, 1_000_000)]
Count: TypeAlias = Annotated[int, Range(1, 100_000_000)]
Hundred: TypeAlias = Annotated[int, Range(1, 100)]
Thousand: TypeAlias = Annotated[int, Range(1, 1_000)]
Bytes: TypeAlias = Annotated[int, Range(65_536, 1 << 40)]
Natural: TypeAlias = Annotated[int, Range(0, 100_000_000)]
Names: TypeAlias = tuple[str, ...]
Seed: TypeAlias = Annotated[int, Range(0, 2**63 - 1)]
Hour: TypeAlias = Annotated[int, Range(0, 23)]
Port: TypeAlias = Annotated[int, Range(0, 65_535)]


class Secret:
    """A text that is used but never shown.

    >>> Secret("hunter2")
    Secret('***')
    >>> Secret("hunter2").reveal()
    'hunter2'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself: for the client that logs in, and nobody else."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return 0  # equal secrets must agree, and a secret's own hash would tell about it

    def __repr__(self) -> str:
        return "Secret('***')" if self else "Secret()"

    def __str__(self) -> str:
        return "***" if self else ""


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """When an offer may be made.

    Durations are in seconds of stream time.
    """

    consent_default: bool = False  # fail closed: no word of consent means no
    holdout: Share = 0.05  # share of customers who get no offer, to measure the effect against
    offers_per_day: Annotated[int, Range(0, 24)] = 3  # more is felt as spam
    offer_gap: Seconds = 1800.0  # one offer a visit, roughly
    quiet_from: Hour = 22  # hour of the day, in the shop's time zone, from which offers rest
    quiet_until: Hour = 7  # … until this hour; equal hours mean no quiet time
    utc_offset: Annotated[int, Range(-840, 840)] = 0  # minutes; fixed, so a replay decides the same
    offer_ttl: Seconds = 3600.0  # an offer older than an hour belongs to another visit
    rest_customer: Seconds = 86_400.0  # a dismissal is a no for today: no offer at all
    rest_campaign: Seconds = 7 * 86_400.0  # … for a week: none of that campaign
    rest_item: Seconds = 30 * 86_400.0  # … for a month: not that item
    slate: Annotated[int, Range(1, 50)] = 4  # items in one offer
    slate_per_category: Annotated[int, Range(0, 50)] = 0  # items of one in an offer; 0: any number
    slate_per_brand: Annotated[int, Range(0, 50)] = 0  # … and of one brand
    exploration: Share = 0.05  # share of slates with one explored item, its probability logged
    min_propensity: Share = 0.0  # below this P(purchase) nothing is offered
    margin_floor: Share = 0.0  # of the price, what a sale earns at least: none is made at a loss
    assumed_margin: Share = 1.0  # of the price, where the catalog tells no margin; 1: not judged
    events_per_second: Amount = 5.0  # a person's sustained pace; more is a bot
    events_burst: Count = 100  # a page that loads many tiles is still a person


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """What the decision needs to know beside state, event and models.

    Durations are in seconds of stream time.
    """

    seed: Seed = 20_240_601  # of every hash that decides: change it to draw anew
    currency: str = "EUR"  # of the shop: prices without one, and the value kept of a customer
    grace: Seconds = 86_400.0  # an event older than stream time by more than this is late
    future: Seconds = 300.0  # clocks drift by less than five minutes
    session_gap: Duration = 1_800.0  # 30 min of inactivity end a session, as in web analytics
    attribution: Duration = 86_400.0  # a purchase within a day is credited to an exposure
    credit: Literal["last", "first", "linear"] = "last"  # which offers a purchase is put down to
    half_life: Duration = 30 * 86_400.0  # of what a customer liked: a month
    recent_items: Hundred = 20  # what neighbours and the profile are made from
    pending_exposures: Hundred = 8  # waiting for a purchase; the oldest gives way, unbought
    seen_ids: Thousand = 64  # of clicks, of responses, of updates: those sent twice come soon
    seen_orders: Thousand = 128  # … and of orders and refunds: four a day, and money
    order_window: Duration = 30 * 86_400.0  # shops send old orders again, after weeks
    fairness_groups: Names = ()  # traits whose values are compared, and may steer nothing
    fairness_least: Count = 100  # customers of a group that is shown: fewer tell of persons
    decisions_share: Share = 0.01  # of customers, each of whose decisions is told on `decisions`
    policy: PolicySettings = field(default_factory=PolicySettings)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Z]{3}", self.currency):
            raise ConfigError(
                f"core.currency is {self.currency!r}; it must be an ISO 4217 code such as EUR"
            )
        groups = self.fairness_groups
        if len(set(groups)) < len(groups) or len(groups) > MOST_GROUPS or "" in groups:
            raise ConfigError(
                f"core.fairness_groups is {', '.join(groups)!r}; it must be at most {MOST_GROUPS} "
                "names of traits, each once"
            )


_TOPIC_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._-]{0,100}")


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of the topics, all behind one prefix."""

    prefix: str = ""  # none: the names of the documentation; set it where shops share a cluster
    partitioner: Literal["murmur2", "any"] = "murmur2"  # of whoever publishes; any: not checked

    def __post_init__(self) -> None:
        if not _TOPIC_CHARACTERS.fullmatch(self.prefix):
            raise ConfigError(
                f"topics.prefix is {self.prefix!r}; a topic's name takes at most 100 of "
                "letters, digits, '.', '_' and '-'"
            )

    @property
    def clicks(self) -> str:
        """Views, clicks and carts; P partitions, by customer."""
        return f"{self.prefix}clicks"

    @property
    def purchases(self) -> str:
        """Orders and refunds; P partitions, by customer."""
        return f"{self.prefix}purchases"

    @property
    def feedback(self) -> str:
        """What became of offers; P partitions, by customer."""
        return f"{self.prefix}feedback"

    @property
    def customers(self) -> str:
        """Consent, traits, erasure; P partitions, by customer."""
        return f"{self.prefix}customers"

    @property
    def catalog(self) -> str:
        """Items by id; one partition, compacted."""
        return f"{self.prefix}catalog"

    @property
    def campaigns(self) -> str:
        """Campaigns by id; one partition, compacted."""
        return f"{self.prefix}campaigns"

    @property
    def offers(self) -> str:
        """The decisions; P partitions, those of the events that caused them."""
        return f"{self.prefix}offers"

    @property
    def dead_letters(self) -> str:
        """Rejected records, byte for byte; P partitions."""
        return f"{self.prefix}dead-letters"

    @property
    def late(self) -> str:
        """Events beyond the grace; P partitions."""
        return f"{self.prefix}late"

    @property
    def evidence(self) -> str:
        """What offers were made from; P partitions."""
        return f"{self.prefix}evidence"

    @property
    def decisions(self) -> str:
        """What was decided in each moment of a share of customers; P partitions."""
        return f"{self.prefix}decisions"

    @property
    def examples(self) -> str:
        """What to learn, in order; one partition."""
        return f"{self.prefix}examples"

    @property
    def models(self) -> str:
        """Model snapshots and deltas; one partition, compacted."""
        return f"{self.prefix}models"

    @property
    def rules(self) -> str:
        """Association rules by what they are about; one partition, compacted."""
        return f"{self.prefix}rules"

    @property
    def budgets(self) -> str:
        """Claims on campaigns' budgets, in order; one partition."""
        return f"{self.prefix}budgets"

    @property
    def events(self) -> tuple[str, str, str, str]:
        """The event topics in the order of ``stream.domain.event.Source``."""
        return (self.clicks, self.purchases, self.feedback, self.customers)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker takes events in and lets effects out."""

    max_record: Count = 262_144  # bytes; no honest event is larger than 256 KiB
    batches_ahead: Count = 3  # undecided batches a partition may hold: enough to hide a fetch
    cached_customers: Count = 50_000  # records kept in memory, some 110 MB: the hot customers
    store_cache: Bytes = 268_435_456  # bytes of blocks, indexes and filters that all stores cache
    store_buffers: Bytes = 134_217_728  # bytes of writes that they hold before these become files
    commit_interval: Duration = 1.0  # what a crash replays at most, beside the batch in flight
    order_wait: Seconds = 10.0  # without a record of a topic that has more: its leader is away
    drain_timeout: Duration = 20.0  # on SIGTERM; Kubernetes kills after 30
    purge_interval: Duration = 3_600.0  # at most, till erased customers leave the store's files
    standbys: Natural = 1  # warm copies of each partition's table, on other workers
    evidence: bool = True  # keep what each offer was made from, for `offerstream explain`


@dataclass(frozen=True, slots=True)
class LearningSettings:
    """The size and pace of the models."""

    enabled: bool = True  # off: nothing is taught or learned, and models stay as they are
    segments: Annotated[int, Range(1, 64)] = 8  # few enough for people to name each
    segmenter: Literal["kmeans", "density"] = "kmeans"  # k compact segments; or any shape, up to k
    step: Count = 32  # examples a step: larger ones learn less from each, smaller ones cost more
    own_process: bool = True  # on Kafka: learning keeps no customer waiting; off: 120 MB less
    answer_timeout: Duration = 60.0  # of its process: answers take ms, large models at a start 10 s
    publish_interval: Duration = 0.5  # what is learned is in use within a second, as a rule
    propensity_bits: Annotated[int, Range(8, 24)] = 18  # 2^18 buckets of 32 bytes: 8 MB
    propensity_rate: Annotated[float, Range(1e-6, 10)] = 0.3  # of the slow learner; the fast: x 4
    items: Count = 50_000  # items with neighbours; the least supported give way
    neighbours: Annotated[int, Range(1, 1_000)] = 32  # kept per item; more than slates can use
    sessions: Count = 100_000  # recent sessions in which similar ones are looked for
    eager: Natural = 4_096  # first steps that all teach what each source is worth: 0.3 ms each
    thin: Count = 32  # … and then one in so many: sources learn every step, for a tenth of that
    baskets: Count = 65_536  # newest orders in which rules are counted: 8 MB
    rules_support: Share = 0.005  # of these orders; five of them at least
    rules_confidence: Share = 0.2  # a fifth: weaker ones are read as chance
    rules_interval: Duration = 30.0  # rules are for people and warehouses, not for the next click
    snapshot_key: Secret = field(default_factory=Secret)  # signs models; every worker's the same

    @property
    def key(self) -> bytes | None:
        """What models are signed and checked with, if they are."""
        return self.snapshot_key.reveal().encode() or None


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach and use a Kafka cluster."""

    session_timeout: KafkaDuration = 10.0  # a killed worker's partitions rest this long
    heartbeat_interval: KafkaDuration = 3.0  # a third of the session timeout, as Kafka advises
    max_poll_interval: KafkaDuration = 300.0  # a worker that is stuck loses its partitions
    request_timeout: KafkaDuration = 30.0  # a broker that is away longer is reported
    poll_records: Count = 1_000  # a batch: large enough to spread asyncio's cost, small in latency
    batch_bytes: Count = 900_000  # of a record batch written, below the broker's 1 MiB
    replication_factor: Annotated[int, Range(0, 9)] = 0  # 0: three, or as many as there are brokers
    group_instance_id: str = ""  # set per pod: a restart then moves no partitions
    tls: bool = False  # plain text is for loopback and private networks
    ca_file: str = ""  # none: the system's authorities
    cert_file: str = ""  # the client's certificate, where the cluster asks for one
    key_file: str = ""  # … and its key
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""  # none: no login
    sasl_username: str = ""  # with sasl_mechanism
    sasl_password: Secret = field(default_factory=Secret)  # with sasl_mechanism
    sasl_without_tls: bool = False  # a password in plain text is a mistake until you say so
    schema_registry_url: str = ""  # none: Avro and Protobuf are refused, by name
    schema_registry_username: str = ""  # of a login by name and password
    schema_registry_password: Secret = field(default_factory=Secret)  # with that name
    schema_registry_token: Secret = field(default_factory=Secret)  # … or of one by a bearer token
    schema_registry_ca_file: str = ""  # none: the system's authorities
    schema_registry_timeout: Duration = 5.0  # an answer that takes longer is none
    schema_registry_keep: Duration = 3600.0  # a schema never changes; a registry may be made anew
    schema_registry_forget: Duration = 60.0  # an id that was unknown may be registered by then
    schema_registry_patience: Duration = 600.0  # … for a schema that alone is not given

    def __post_init__(self) -> None:
        self._check_registry()
        if self.sasl_mechanism and not self.tls and not self.sasl_without_tls:
            raise ConfigError(
                "kafka.sasl_mechanism without kafka.tls would send the password in plain text; "
                "set kafka.tls = true, or allow it with kafka.sasl_without_tls = true"
            )
        if self.sasl_mechanism and not (self.sasl_username and self.sasl_password):
            raise ConfigError(
                "kafka.sasl_mechanism is set: kafka.sasl_username and kafka.sasl_password "
                "must be set too"
            )
        if (self.sasl_username or self.sasl_password) and not self.sasl_mechanism:
            raise ConfigError(
                "kafka.sasl_username or kafka.sasl_password is set and kafka.sasl_mechanism is "
                "not; set it to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
            )
        if bool(self.cert_file) != bool(self.key_file):
            raise ConfigError("kafka.cert_file and kafka.key_file go together: set both or none")
        if self.heartbeat_interval > self.session_timeout / 2:
            raise ConfigError(
                "kafka.heartbeat_interval must be at most half of kafka.session_timeout; "
                "a third is usual"
            )

    def _check_registry(self) -> None:
        name, password = self.schema_registry_username, self.schema_registry_password
        token, url = self.schema_registry_token, self.schema_registry_url
        if bool(name) != bool(password):
            raise ConfigError(
                "kafka.schema_registry_username and kafka.schema_registry_password go together: "
                "set both or none"
            )
        if name and token:
            raise ConfigError(
                "kafka.schema_registry_token and kafka.schema_registry_username are two logins: "
                "set one of them"
            )
        if not url:
            return
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018  # raises if it is none
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                "kafka.schema_registry_url is no address: give one such as "
                "https://registry.example.org:8081"
            )
        if parts.username is not None or parts.query or parts.fragment:
            raise ConfigError(
                "kafka.schema_registry_url must hold no login, query or fragment: a login belongs "
                "into kafka.schema_registry_username and kafka.schema_registry_password"
            )
        is_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if (name or token) and parts.scheme == "http" and not is_here:
            raise ConfigError(
                "kafka.schema_registry_url begins with http: a login would be sent in plain text; "
                "use https"
            )


Fsync: TypeAlias = Literal["always", "interval", "never"]


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """The local log that stands in for a broker."""

    fsync: Fsync = "interval"  # each second; kill -9 loses nothing with any, a power cut might
    segment_bytes: Count = 67_108_864  # a file of the log: compaction works on closed ones


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where metrics and health are served, and when the worker counts as stuck."""

    host: str = "127.0.0.1"  # loopback: opening it to a network is a decision
    port: Port = 6067  # Faust's own web server, which is off, would take 6066; 0: any free one
    loop_timeout: Duration = 10.0  # an event loop silent for longer is not alive
    broker_timeout: Duration = 10.0  # a broker silent for longer is away: heartbeats come each 3 s
    stall_timeout: Duration = 120.0  # lag without progress for longer is not alive either


EXTENSION_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MOST_EXTENSIONS: Final = 16


@dataclass(frozen=True, slots=True)
class ExtensionSettings:
    """Which extensions of other packages are in force, by name, in the order in which they count.

    One that is installed and not named changes nothing; see ``offerstream extensions``.
    """

    rules: Names = ()  # of the policy, asked after its own
    envelopes: Names = ()  # asked before those that are known
    sources: Names = ()  # of candidates, beside those that are learned
    challengers: Names = ()  # models that foresee beside the champion, and decide nothing

    def __post_init__(self) -> None:
        for each in fields(self):
            names = getattr(self, each.name)
            for name in names:
                if not EXTENSION_NAME.fullmatch(name):
                    raise ConfigError(
                        f"extensions.{each.name} names {name!r}; a name takes 1 to 64 letters, "
                        "digits, '.', '_' and '-': `offerstream extensions` lists what is installed"
                    )
            if len(set(names)) < len(names) or len(names) > MOST_EXTENSIONS:
                raise ConfigError(
                    f"extensions.{each.name} is {', '.join(names)!r}; it must be at most "
                    f"{MOST_EXTENSIONS} names, each once"
                )


LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["console", "json"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an operator may choose; ``build_app`` takes it and nothing else."""

    broker: str = "local://./offerstream-data/log"  # try it first without a broker
    app_id: str = "offerstream"  # the consumer group, and the prefix of the changelogs
    partitions: Annotated[int, Range(1, 1_024)] = 4  # the most workers that can share the job
    data_dir: Path = Path("offerstream-data/state")  # the tables' store; a cache of the changelogs
    store: Literal["auto", "memory", "rocksdb"] = "auto"  # rocksdb on Kafka, memory embedded
    log_level: LogLevel = "info"  # what an operator acts on
    log_format: LogFormat = "console"  # for people; json: an object a line, for collectors
    topics: Topics = field(default_factory=Topics)
    core: CoreSettings = field(default_factory=CoreSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    embedded: EmbeddedSettings = field(default_factory=EmbeddedSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    extensions: ExtensionSettings = field(default_factory=ExtensionSettings)

    def __post_init__(self) -> None:
        scheme, separator, rest = self.broker.partition("://")
        if not separator or not rest or scheme not in {"kafka", "local"}:
            raise ConfigError(
                f"broker is {self.broker!r}; it must be kafka://host:port[,host:port] "
                "or local:///directory"
            )
        if scheme == "kafka":
            for address in rest.split(","):
                _check_address(address)
        if not self.app_id or not _TOPIC_CHARACTERS.fullmatch(self.app_id):
            raise ConfigError(
                f"app_id is {self.app_id!r}; it is part of topic names and takes 1 to 100 of "
                "letters, digits, '.', '_' and '-'"
            )

    @property
    def embedded_log(self) -> Path | None:
        """The directory of the local log, or None where the broker is Kafka."""
        scheme, _, rest = self.broker.partition("://")
        return Path(rest) if scheme == "local" else None

    @property
    def bootstrap_servers(self) -> tuple[str, ...]:
        """The ``host:port`` addresses of the Kafka cluster; empty where embedded."""
        scheme, _, rest = self.broker.partition("://")
        return tuple(rest.split(",")) if scheme == "kafka" else ()

    @property
    def table_store(self) -> Literal["memory", "rocksdb"]:
        """The store in use: what ``store`` says, or what fits the broker."""
        if self.store != "auto":
            return self.store
        return "rocksdb" if self.bootstrap_servers else "memory"

    @property
    def customers_changelog(self) -> str:
        """The topic that the customers table is recovered from; P partitions, compacted."""
        return f"{self.app_id}-customers-changelog"


def _check_address(address: str) -> None:
    if "@" in address:
        raise ConfigError(
            "broker holds a login; give it as kafka.sasl_username and kafka.sasl_password"
        )
    host, separator, port = address.rpartition(":")
    if not (host and separator and port.isdecimal() and 0 < int(port) < 65_536):
        raise ConfigError(
            f"broker names {address!r}; each address must be host:port, such as 127.0.0.1:9092"
        )
