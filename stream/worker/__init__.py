"""The worker: Faust agents and tables around decisions and learning."""
