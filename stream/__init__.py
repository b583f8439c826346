"""offerstream: a streaming event processor for precision marketing.

Clicks and purchases come in from Kafka; offers that a customer may be shown go out. The
packages are layers, and each imports only those below it::

    cli                             commands for people
    replay | simulate | insight     where events come from; what topics and files tell
    worker | client                 Faust's agents and tables; for other services
    host                            the process: settings' sources, logs, signals
    broker | reading                topics, on Kafka or on a disk; files
    codec                           bytes <-> values
    learn | grammar                 the learner, pure; how words and numbers are written
    decide                          the decision, pure
    models | domain                 online estimators; events and offers as values; pure
    config                          settings: a leaf
"""

__version__ = "0.1.0"
