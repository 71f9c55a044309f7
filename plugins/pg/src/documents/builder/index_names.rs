//! The names of indexes that are made of whole tables: `table` of the schema `public`, else `schema.table`.
//!
//! Names may hold dots themselves, and then two tables can have one name: `a."b.c"` and `"a.b".c`. The table that is found
//! by the part before the first dot as its schema keeps the name; the others get eight hexadecimal digits of a hash of schema
//! and table behind it. A name that no other table has is never altered.

use crate::catalog::table::Table;
use crate::replication::slot_names::fnv;
use std::collections::HashMap;

/// The name of each table's index, in their order; no two are the same.
pub(crate) fn index_names(tables: &[Table]) -> Vec<String> {
    let names: Vec<(&str, &str)> = tables.iter().map(|table| (table.schema.as_str(), table.name.as_str())).collect();
    distinct(&names)
}

fn distinct(tables: &[(&str, &str)]) -> Vec<String> {
    let plain: Vec<String> = tables.iter().map(|(schema, name)| plain(schema, name)).collect();
    let mut counts: HashMap<&str, usize> = HashMap::with_capacity(plain.len());
    for name in &plain {
        *counts.entry(name.as_str()).or_default() += 1;
    }
    let each = tables.iter().zip(&plain);
    each.map(|((schema, table), name)| {
        let found_by_it = name.split_once('.').unwrap_or(("public", name.as_str())) == (*schema, *table);
        if found_by_it || counts.get(name.as_str()) == Some(&1) {
            return name.clone();
        }
        format!("{name}-{:08x}", fnv(&format!("{schema}\0{table}")) >> 32)
    })
    .collect()
}

fn plain(schema: &str, name: &str) -> String {
    if schema == "public" { name.to_owned() } else { format!("{schema}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn dots_in_names_make_no_two_tables_one_index() {
        let tables = [
            ("public", "users"),
            ("public", "Users"),
            ("shop", "users"),
            ("a", "b.c"),
            ("a.b", "c"),
            ("a", "b"),
            ("public", "a.b"),
            ("public", "public.d"),
            ("public.public", "d"),
            ("only.one", "here"),
        ];
        let names = distinct(&tables);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), tables.len(), "{names:?}");
        for (at, plain) in
            [(0, "users"), (1, "Users"), (2, "shop.users"), (3, "a.b.c"), (5, "a.b"), (9, "only.one.here")]
        {
            assert_eq!(names[at], plain);
        }
        // The same whatever else there is.
        assert_eq!(names[4], "a.b.c-06f227b5");
        assert_eq!(distinct(&[("a", "b.c"), ("a.b", "c")])[1], names[4]);
    }
}
