SELECT u.id::text, json_build_object(
  'id', u.id, 'name', trim(u.name), 'email', lower(u.email::text), 'tier', coalesce(u.tier, 'free'), 'balance', u.balance, 'born', u.born,
  'createdAt', oracle.moment(u.created_at), 'title', u.title, 'bio', u.bio, 'active', coalesce(u.active, true),
  'location', CASE WHEN u.lat IS NOT NULL AND u.lon IS NOT NULL THEN json_build_object('lat', u.lat, 'lon', u.lon) END,
  'source', 'crm', 'account', json_build_object('kind', u.kind),
  'company', (SELECT json_build_object('name', c.name, 'settings', c.settings) FROM companies c WHERE c.id = u.company_id),
  'boss', (SELECT json_build_object('name', b.name, 'company',
      (SELECT json_build_object('name', c.name) FROM companies c WHERE c.id = b.company_id AND c.region = 'north')) FROM users b WHERE b.id = u.boss_id),
  'reports', (SELECT coalesce(json_agg(json_build_object('id', id, 'name', name) ORDER BY balance DESC, id), '[]')
      FROM (SELECT * FROM users r WHERE r.boss_id = u.id AND r.active ORDER BY balance DESC, id LIMIT 3) r),
  'profile', (SELECT json_build_object('bio', p.bio, 'updatedAt', oracle.moment(p.updated_at)) FROM profiles p WHERE p.user_id = u.id),
  'lastOrder', (SELECT json_build_object('id', o.id, 'status', o.status) FROM orders o WHERE o.user_id = u.id ORDER BY placed_at DESC, id DESC LIMIT 1),
  'orders', (SELECT coalesce(json_agg(json_build_object('id', o.id, 'total', o.total, 'note', o.note, 'items',
      (SELECT coalesce(json_agg(json_build_object('line', i.line, 'quantity', i.quantity, 'product',
          (SELECT json_build_object('shown', upper(p.name), 'price', p.price) FROM products p WHERE p.code = i.product)) ORDER BY i.order_id, i.line), '[]')
        FROM items i WHERE i.order_id = o.id AND i.quantity > 1)) ORDER BY o.placed_at, o.id), '[]')
      FROM (SELECT * FROM orders o WHERE o.user_id = u.id AND o.status <> 'void' ORDER BY placed_at, id LIMIT 5) o),
  'tags', (SELECT coalesce(json_agg(json_build_object('name', t.name) ORDER BY t.weight DESC, t.id), '[]')
      FROM user_tags j JOIN tags t ON t.id = j.tag_id WHERE j.user_id = u.id),
  'labels', (SELECT coalesce(json_agg(json_build_object('id', t.id) ORDER BY t.id), '[]')
      FROM labels j JOIN tags t ON t.id = j.tag_id WHERE j.user_id = u.id AND t.weight BETWEEN 1 AND 4),
  'orderCount', (SELECT count(*) FROM orders o WHERE o.user_id = u.id),
  'revenue', (SELECT sum(total) FROM orders o WHERE o.user_id = u.id AND o.status = 'paid'),
  'meanTotal', (SELECT avg(total) FROM orders o WHERE o.user_id = u.id),
  'firstOrder', (SELECT oracle.moment(min(placed_at)) FROM orders o WHERE o.user_id = u.id),
  'largestCrm', (SELECT max(total) FROM crm.orders o WHERE o.user_id = u.id),
  'crmOrders', (SELECT coalesce(json_agg(id ORDER BY id), '[]') FROM crm.orders o WHERE o.user_id = u.id),
  'heavyTags', (SELECT count(*) FROM user_tags j JOIN tags t ON t.id = j.tag_id WHERE j.user_id = u.id AND t.weight >= 3))
FROM users u WHERE u.kind IN ('person', 'company') AND (u.deleted_at IS NOT NULL AND u.hold = false) IS NOT TRUE
