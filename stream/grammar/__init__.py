"""How values are written: one grammar of words, numbers and times for every door.

It is used by the mappings of a replay, by the evaluations and by the decoder of live records. What
it has read is written in canonical form, so that nothing is read twice by different rules.
"""
