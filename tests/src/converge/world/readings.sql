SELECT r.sensor || ':' || oracle.part(oracle.moment(r.at)), row_to_json(r) FROM readings r
