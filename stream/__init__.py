"""offerstream: a streaming event processor for precision marketing.

Clicks and purchases come in from Kafka; offers that a customer may be shown go out. The
packages are layers, and each imports only those below it::

    cli                               commands for people
    replay | simulate | evaluate      where events come from, and how good the answers are
    runtime                           Faust, Kafka, the local log, metrics
    codec                             bytes <-> values
    core                              the decision, pure
    models                            online estimators, pure
    config                            settings: a leaf
"""

__version__ = "0.1.0"
