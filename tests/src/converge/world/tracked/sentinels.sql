SELECT s.id::text, row_to_json(s) FROM sentinels s
