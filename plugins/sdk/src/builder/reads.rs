//! What a build reads with.

use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::{Column, Failed, IntoValue, TableRow};
use crate::lookups::{Lookup, Lookups};
use crate::{Filter, Ordering, Row, TableName, Value};

/// The reads that wait, and the answers that nobody took yet, each at the place of its read's number.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) waiting: Vec<Waiting>,
    pub(super) answers: Vec<Option<Vec<Row>>>,
}

/// A read that waits.
pub(super) struct Waiting {
    pub(super) number: usize,
    pub(super) read: Read,
}

/// What a read asks for, and for whom.
#[derive(Clone)]
pub(super) struct Read {
    pub(super) shape: Shape,
    pub(super) lookup: Lookup,
}

/// Everything of a read but the values. Reads of one shape cross as one.
#[derive(Clone)]
pub(super) struct Shape {
    schema: &'static str,
    table: &'static str,
    columns: &'static [&'static str],
    by: Vec<&'static str>,
    filters: Vec<crate::Condition>,
    order: Vec<(&'static str, bool)>,
    limit: Option<u32>,
}

impl Shape {
    pub(super) fn is(&self, other: &Self) -> bool {
        let plain = |shape: &Self| (shape.schema, shape.table, shape.columns, shape.limit);
        plain(self) == plain(other)
            && self.by == other.by
            && self.order == other.order
            && self.filters.len() == other.filters.len()
            && self.filters.iter().zip(&other.filters).all(|(one, other)| same(one, other))
    }

    /// What the host is asked, without lookups yet.
    pub(super) fn lookups(&self) -> Lookups {
        let text = |text: &&str| (*text).to_owned();
        let ordering = |(column, descending): &(&str, bool)| Ordering { column: text(column), descending: *descending };
        Lookups {
            table: TableName { schema: text(&self.schema), name: text(&self.table) },
            columns: self.columns.iter().map(text).collect(),
            by: self.by.iter().map(text).collect(),
            filters: self.filters.iter().cloned().map(Filter::Condition).collect(),
            order: self.order.iter().map(ordering).collect(),
            limit: self.limit,
            lookups: Vec::new(),
            extra: None,
        }
    }
}

/// Whether two conditions are one.
fn same(one: &crate::Condition, other: &crate::Condition) -> bool {
    one.column == other.column
        && one.comparison == other.comparison
        && one.operands.len() == other.operands.len()
        && one.operands.iter().zip(&other.operands).all(|(one, other)| one.is_same(other))
}

/// Reads for one document. What it finds, the host remembers.
pub struct Reads {
    pub(super) document: u32,
    pub(super) shared: Rc<RefCell<Shared>>,
}

impl Reads {
    /// The rows whose column has this value.
    pub fn by<R: TableRow, T>(&self, column: Column<R, T>, value: impl IntoValue<T>) -> Many<R> {
        self.many(vec![column.name], vec![value.into_value()])
    }

    /// Every row of the table. Any change of it then builds every document of the index again.
    #[must_use]
    pub fn all<R: TableRow>(&self) -> Many<R> {
        self.many(Vec::new(), Vec::new())
    }

    fn many<R: TableRow>(&self, by: Vec<&'static str>, values: Vec<Value>) -> Many<R> {
        let (schema, table, columns) = (R::SCHEMA, R::TABLE, R::COLUMNS);
        let shape = Shape { schema, table, columns, by, filters: Vec::new(), order: Vec::new(), limit: None };
        let lookup = Lookup { document: self.document, values };
        Many { read: Some(Read { shape, lookup }), number: 0, shared: Rc::clone(&self.shared), of: PhantomData }
    }

    /// The first row whose column has this value, by the primary key.
    pub fn one<R: TableRow, T>(&self, column: Column<R, T>, value: impl IntoValue<T>) -> One<R> {
        One(self.by(column, value).limit(1))
    }
}

/// A read of rows; `.await` it.
pub struct Many<R> {
    read: Option<Read>,
    number: usize,
    shared: Rc<RefCell<Shared>>,
    of: PhantomData<fn() -> R>,
}

/// A condition on the rows of a table, made by [`Column`]'s functions.
#[must_use]
pub struct Condition<R> {
    condition: crate::Condition,
    of: PhantomData<fn() -> R>,
}

impl<R> Condition<R> {
    pub(super) fn new(condition: crate::Condition) -> Self {
        Self { condition, of: PhantomData }
    }
}

impl<R: TableRow> Many<R> {
    /// Looked up by this column too: `db.by(Line::order_id(), 1).and(Line::number(), 2)`, declared as `Line by (order_id, number)`. Other
    /// than a filter it counts in what wakes the document.
    #[must_use]
    pub fn and<T>(mut self, column: Column<R, T>, value: impl IntoValue<T>) -> Self {
        if let Some(read) = &mut self.read {
            read.shape.by.push(column.name);
            read.lookup.values.push(value.into_value());
        }
        self
    }

    /// Those rows alone for which this holds, by the rules of the column's type; further conditions hold too.
    #[must_use]
    pub fn filter(mut self, condition: Condition<R>) -> Self {
        if let Some(read) = &mut self.read {
            read.shape.filters.push(condition.condition);
        }
        self
    }

    /// Smallest first; a further order counts among equals.
    #[must_use]
    pub fn order<T>(self, column: Column<R, T>) -> Self {
        self.ordered(column.name, false)
    }

    /// Largest first.
    #[must_use]
    pub fn order_desc<T>(self, column: Column<R, T>) -> Self {
        self.ordered(column.name, true)
    }

    /// At most so many rows.
    #[must_use]
    pub fn limit(mut self, rows: u32) -> Self {
        if let Some(read) = &mut self.read {
            read.shape.limit = Some(rows);
        }
        self
    }

    fn ordered(mut self, column: &'static str, descending: bool) -> Self {
        if let Some(read) = &mut self.read {
            read.shape.order.push((column, descending));
        }
        self
    }
}

impl<R: TableRow> Future for Many<R> {
    type Output = Result<Vec<R>, Failed>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut shared = this.shared.borrow_mut();
        if let Some(read) = this.read.take() {
            this.number = shared.answers.len();
            shared.answers.push(None);
            shared.waiting.push(Waiting { number: this.number, read });
            return Poll::Pending;
        }
        match shared.answers.get_mut(this.number).and_then(Option::take) {
            Some(rows) => Poll::Ready(rows.into_iter().map(R::from_row).collect()),
            None => Poll::Pending,
        }
    }
}

/// A read of one row; `.await` it.
pub struct One<R>(Many<R>);

impl<R: TableRow> Future for One<R> {
    type Output = Result<Option<R>, Failed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.get_mut().0).poll(context).map(|rows| rows.map(|rows| rows.into_iter().next()))
    }
}
