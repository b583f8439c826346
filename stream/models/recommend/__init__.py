"""What a customer may want next: pairs, sessions, taste, content, and their blend."""
