"""Payloads of a Schema Registry's schemas: from Avro and Protobuf to JSON that says the same."""
