"""What a broker hands out: batches of records, read with care and in bounded memory."""
