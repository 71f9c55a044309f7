//! What a node of a plan looks up, and where in the rows that come its cells stand.

use flusso_documents::{Cell, Content, Node, Plan, Reduction};
use flusso_plugin::lookups::Lookups;
use flusso_plugin::{Condition, Filter as Pushed, Ordering, Row, TableName, Value};
use flusso_schema::{AggregateOp, Comparison, Direction, Filter, Identifier, Literal, OrderBy, Transform};

use crate::index::cells;
use crate::values;

/// A cell of a node's rows.
#[derive(Debug)]
pub(crate) struct CellRead {
    /// The junction's row holds it.
    pub(crate) junction: bool,
    /// Its place in that row.
    pub(crate) at: usize,
    pub(crate) transforms: Vec<Transform>,
    /// What stands there for null.
    pub(crate) default: Option<Value>,
    /// Which of the node's conditions must hold.
    pub(crate) when: Option<usize>,
}

/// A place in a row that an order goes by.
#[derive(Debug)]
pub(crate) struct OrderPlace {
    pub(crate) at: usize,
    pub(crate) descending: bool,
}

/// The way over a junction.
#[derive(Debug)]
pub(crate) struct JunctionRead {
    /// Finds the node's rows by their key.
    pub(crate) target: Lookups,
    /// Where the values for it stand in the junction's rows.
    pub(crate) right: Vec<usize>,
    /// The places of the junction's order, in which its rows come.
    pub(crate) order: Vec<usize>,
}

/// What a node looks up.
#[derive(Debug)]
pub(crate) struct NodeReads {
    /// Finds its rows by a link, or those of the junction before it.
    pub(crate) first: Lookups,
    pub(crate) junction: Option<JunctionRead>,
    /// The order among the rows of a link that a junction leads to; the key last.
    pub(crate) order: Vec<OrderPlace>,
    pub(crate) limit: Option<usize>,
    pub(crate) cells: Vec<CellRead>,
    pub(crate) conditions: RowConditions,
    /// What is computed of the rows of a link, each with the place of its column.
    pub(crate) reductions: Vec<(Reduction, usize)>,
    /// The place by which the rows of a link are ordered, where they are so that extremes can be taken from their ends.
    pub(crate) extremes: Option<usize>,
}

/// Conditions on rows, asked of the source by the rows' keys.
#[derive(Debug)]
pub(crate) struct RowConditions {
    /// Each finds a row by its key if the condition holds.
    pub(crate) each: Vec<Lookups>,
    /// Where the key stands in a row.
    pub(crate) key: Vec<usize>,
}

/// What is read of root rows, which the host hands over.
#[derive(Debug)]
pub(crate) struct RootReads {
    /// The columns of a row.
    pub(crate) columns: Vec<String>,
    pub(crate) cells: Vec<CellRead>,
    /// Those of cells first.
    pub(crate) conditions: RowConditions,
    /// The condition under which a row is a document.
    pub(crate) counts: Option<usize>,
    /// The column that marks a deleted row, and the condition beside it.
    pub(crate) deleted: Option<(usize, Option<usize>)>,
}

/// Columns that are read, each once.
#[derive(Debug, Default)]
struct Columns(Vec<String>);

impl Columns {
    fn place(&mut self, column: &str) -> usize {
        self.0.iter().position(|known| known == column).unwrap_or_else(|| {
            self.0.push(column.to_owned());
            self.0.len() - 1
        })
    }

    fn places<'a>(&mut self, columns: impl IntoIterator<Item = &'a String>) -> Vec<usize> {
        columns.into_iter().map(|column| self.place(column)).collect()
    }
}

fn table(table: &flusso_documents::Table) -> TableName {
    TableName { schema: table.schema.clone(), name: table.name.clone() }
}

fn lookups(of: &flusso_documents::Table, columns: Vec<String>, by: &[String], filters: Vec<Pushed>) -> Lookups {
    Lookups {
        table: table(of),
        columns,
        by: by.to_vec(),
        filters,
        order: Vec::new(),
        limit: None,
        lookups: Vec::new(),
        extra: None,
    }
}

/// The conditions of some cells, and the cells with the places of their conditions.
fn cell_reads(
    of: &[Cell],
    own: &mut Columns,
    junction: &mut Columns,
    conditions: &mut Vec<Vec<Pushed>>,
) -> Result<Vec<CellRead>, String> {
    let read = |cell: &Cell| {
        let columns = if cell.junction { &mut *junction } else { &mut *own };
        let when = match cell.when.as_slice() {
            [] => None,
            when => {
                conditions.push(pushed(when)?);
                Some(conditions.len() - 1)
            }
        };
        Ok(CellRead {
            junction: cell.junction,
            at: columns.place(&cell.column),
            transforms: cell.transforms.clone(),
            default: cell.default.as_deref().map(values::moment),
            when,
        })
    };
    of.iter().map(read).collect()
}

impl RowConditions {
    /// The key of a row.
    pub(crate) fn key_of(&self, row: &Row) -> Row {
        self.key.iter().map(|at| row.get(*at).cloned().unwrap_or(Value::Null)).collect()
    }

    fn new(node: &Node, conditions: Vec<Vec<Pushed>>, columns: &mut Columns) -> Self {
        let key = if conditions.is_empty() { Vec::new() } else { columns.places(&node.key) };
        let each = conditions.into_iter();
        Self { each: each.map(|filters| lookups(&node.table, Vec::new(), &node.key, filters)).collect(), key }
    }
}

impl RootReads {
    /// What a plan reads of its root, and under which conditions a row is a document.
    ///
    /// # Errors
    ///
    /// A condition that the source cannot be asked.
    pub(crate) fn new(
        plan: &Plan,
        filters: &[Filter],
        deleted: Option<(&Identifier, &[Filter])>,
    ) -> Result<Self, String> {
        let root = plan.nodes.first().ok_or("a plan without a root")?;
        let (mut columns, mut conditions) = (Columns::default(), Vec::new());
        let cells = cell_reads(cells(&root.content), &mut columns, &mut Columns::default(), &mut conditions)?;
        let mut condition = |filters: &[Filter]| match filters {
            [] => Ok::<_, String>(None),
            filters => {
                conditions.push(pushed(filters)?);
                Ok(Some(conditions.len() - 1))
            }
        };
        let counts = condition(filters)?;
        let deleted = match deleted {
            Some((column, when)) => Some((columns.place(column.as_str()), condition(when)?)),
            None => None,
        };
        let conditions = RowConditions::new(root, conditions, &mut columns);
        Ok(Self { columns: columns.0, cells, conditions, counts, deleted })
    }

    /// Everything that is looked up.
    pub(crate) fn lookups(&self) -> Vec<&Lookups> {
        self.conditions.each.iter().collect()
    }
}

impl NodeReads {
    /// What a node looks up.
    ///
    /// # Errors
    ///
    /// A condition that the source cannot be asked.
    pub(crate) fn new(node: &Node) -> Result<Self, String> {
        let (mut own, mut between, mut conditions) = (Columns::default(), Columns::default(), Vec::new());
        let cells = cell_reads(cells(&node.content), &mut own, &mut between, &mut conditions)?;
        let key = node.key.first().map_or("", String::as_str);
        let reductions = match &node.content {
            Content::Rows { .. } => Vec::new(),
            Content::Aggregates(all) => {
                let place = |one: &Reduction| (one.clone(), own.place(one.op.column().map_or(key, |it| it.as_str())));
                all.iter().map(place).collect()
            }
        };
        let filters = pushed(&node.filters)?;
        let limit = node.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let Some(through) = &node.link.through else {
            let conditions = RowConditions::new(node, conditions, &mut own);
            let extremes = extremes(&reductions);
            let mut order: Vec<Ordering> = node.order.iter().map(ordering).collect();
            // The key that the schema names decides last, which need not be the table's own. A key leads to one row.
            if reductions.is_empty() && node.link.columns != node.key {
                for column in node.key.iter().filter(|column| node.order.iter().all(|by| by.column.as_str() != *column))
                {
                    own.place(column);
                    order.push(Ordering { column: column.clone(), descending: false });
                }
            }
            if let Some(column) = extremes.and_then(|place| own.0.get(place)) {
                order.push(Ordering { column: column.clone(), descending: false });
            }
            let first = Lookups {
                order,
                limit: node.limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
                ..lookups(&node.table, own.0, &node.link.columns, filters)
            };
            let (junction, order) = (None, Vec::new());
            return Ok(Self { first, junction, order, limit: None, cells, conditions, reductions, extremes });
        };
        let (right, junction_order) = (
            between.places(&through.right),
            through.order.iter().map(|by| between.place(by.column.as_str())).collect(),
        );
        let own_order = node.order.iter().map(|by| (by.column.as_str(), by.direction == Direction::Desc));
        let order: Vec<OrderPlace> = own_order
            .chain(node.key.iter().map(|column| (column.as_str(), false)))
            .map(|(column, descending)| OrderPlace { at: own.place(column), descending })
            .collect();
        let conditions = RowConditions::new(node, conditions, &mut own);
        let first = Lookups {
            order: through.order.iter().map(ordering).collect(),
            ..lookups(&through.table, between.0, &node.link.columns, pushed(&through.filters)?)
        };
        let target = lookups(&node.table, own.0, &node.key, filters);
        let junction = Some(JunctionRead { target, right, order: junction_order });
        Ok(Self { first, junction, order, limit, cells, conditions, reductions, extremes: None })
    }

    /// Everything that is looked up.
    pub(crate) fn lookups(&self) -> Vec<&Lookups> {
        let junction = self.junction.iter().map(|junction| &junction.target);
        std::iter::once(&self.first).chain(junction).chain(&self.conditions.each).collect()
    }
}

/// The one column whose extremes are wanted; the rows then come in its order, and the source decides what is least.
fn extremes(reductions: &[(Reduction, usize)]) -> Option<usize> {
    let wanted =
        reductions.iter().filter(|(one, _)| matches!(one.op, AggregateOp::Min { .. } | AggregateOp::Max { .. }));
    let mut places = wanted.map(|(_, place)| *place);
    let first = places.next()?;
    places.all(|place| place == first).then_some(first)
}

fn ordering(by: &OrderBy) -> Ordering {
    Ordering { column: by.column.to_string(), descending: by.direction == Direction::Desc }
}

/// Conditions as the source takes them.
fn pushed(filters: &[Filter]) -> Result<Vec<Pushed>, String> {
    filters.iter().map(condition).collect()
}

fn condition(filter: &Filter) -> Result<Pushed, String> {
    use flusso_plugin::Comparison as To;
    let (comparison, operands): (To, Vec<&Literal>) = match filter {
        Filter::Compare { op, value, .. } => {
            let to = match op {
                Comparison::Eq => To::Eq,
                Comparison::Neq => To::Neq,
                Comparison::Lt => To::Lt,
                Comparison::Lte => To::Lte,
                Comparison::Gt => To::Gt,
                Comparison::Gte => To::Gte,
                Comparison::Like => To::Like,
                Comparison::Ilike => To::Ilike,
            };
            (to, vec![value])
        }
        Filter::In { values, .. } => (To::In, values.iter().collect()),
        Filter::NotIn { values, .. } => (To::NotIn, values.iter().collect()),
        Filter::Between { low, high, .. } => (To::Between, vec![low, high]),
        Filter::IsNull { .. } => (To::IsNull, Vec::new()),
        Filter::IsNotNull { .. } => (To::IsNotNull, Vec::new()),
        Filter::Raw(text) => {
            return Err(format!(
                "filters: `raw: {text}` is a condition in SQL, which the builder schema-builder cannot ask of every source; write it with \
                 `column`, `op` and `value`, or let the source build (leave [builder] out)"
            ));
        }
    };
    let column = filter.column().map(ToString::to_string).unwrap_or_default();
    Ok(Pushed::Condition(Condition { column, comparison, operands: operands.into_iter().map(operand).collect() }))
}

fn operand(literal: &Literal) -> Value {
    match literal {
        Literal::Boolean(flag) => Value::Boolean(*flag),
        Literal::Number(text) => text.parse().map_or_else(|_| Value::Decimal(text.clone()), Value::Integer),
        Literal::Text(text) => Value::Text(text.clone()),
    }
}
