SELECT o.id::text, json_build_object('id', o.id,
    'tags', (SELECT coalesce(json_agg(json_build_object('name', name, 'rank', rank) ORDER BY rank DESC, link), '[]') FROM (
        SELECT t.name, k.rank, k.id AS link FROM taggings k JOIN tags t ON t.id = k.tag_id
        WHERE k.owner_id = o.id AND k.owner_type = 'order' ORDER BY k.rank DESC, k.id LIMIT 3) first),
    'tagCount', (SELECT count(*) FROM taggings k JOIN tags t ON t.id = k.tag_id WHERE k.owner_id = o.id AND k.owner_type = 'order' AND k.rank > 1))
FROM orders o
