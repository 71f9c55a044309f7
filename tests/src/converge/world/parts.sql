SELECT oracle.part(p.code::text) || ':' || p.grade || ':' || trim_scale(p.size), json_build_object('code', p.code, 'label', p.label,
  'pieces', (SELECT coalesce(json_agg(json_build_object('q', c.q) ORDER BY c.id), '[]') FROM pieces c WHERE c.code = p.code AND c.grade = p.grade AND c.size = p.size),
  'q', (SELECT sum(q) FROM pieces c WHERE c.code = p.code AND c.grade = p.grade AND c.size = p.size))
FROM parts p
