SELECT u.id::text, json_build_object('name', u.name, 'company', (SELECT c.name FROM companies c WHERE c.id = u.company_id),
  'bosses', (WITH RECURSIVE up(depth, name, above) AS (
      SELECT 1, b.name, b.boss_id FROM users b WHERE b.id = u.boss_id
      UNION ALL SELECT up.depth + 1, b.name, b.boss_id FROM up JOIN users b ON b.id = up.above WHERE up.depth < 5)
    SELECT coalesce(json_agg(up.name ORDER BY up.depth), '[]') FROM up),
  'tags', (SELECT coalesce(json_agg(t.name ORDER BY j.id), '[]') FROM labels j JOIN tags t ON t.id = j.tag_id WHERE j.user_id = u.id))
FROM users u WHERE u.deleted_at IS NULL
