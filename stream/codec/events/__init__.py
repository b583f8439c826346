"""An event topic's bytes become events, or reasons why not."""
