//! What a build reads with.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::rows::table_name;
use super::{Column, Failed, IntoValue, TableRow};
use crate::lookups::{Lookup, Lookups};
use crate::{Filter, Ordering, Row, Value};

/// The reads that wait, and the answers that nobody took yet.
#[derive(Default)]
pub(super) struct Shared {
    next: u64,
    pub(super) waiting: Vec<(u64, Lookups)>,
    pub(super) answers: HashMap<u64, Vec<Row>>,
}

/// Reads for one document. What it finds, the host remembers.
pub struct Reads {
    pub(super) document: u32,
    pub(super) shared: Rc<RefCell<Shared>>,
}

impl Reads {
    /// The rows whose column has this value.
    pub fn by<R: TableRow, T>(&self, column: Column<R, T>, value: impl IntoValue<T>) -> Many<R> {
        self.many(vec![column.name.to_owned()], vec![value.into_value()])
    }

    /// Every row of the table. Any change of it then builds every document of the index again.
    #[must_use]
    pub fn all<R: TableRow>(&self) -> Many<R> {
        self.many(Vec::new(), Vec::new())
    }

    fn many<R: TableRow>(&self, by: Vec<String>, values: Vec<Value>) -> Many<R> {
        let read = Lookups {
            table: table_name::<R>(),
            columns: R::COLUMNS.iter().map(|name| (*name).to_owned()).collect(),
            by,
            filters: Vec::new(),
            order: Vec::new(),
            limit: None,
            lookups: vec![Lookup { document: self.document, values }],
            extra: None,
        };
        Many { read: Some(read), ticket: 0, shared: Rc::clone(&self.shared), of: PhantomData }
    }

    /// The first row whose column has this value, by the primary key.
    pub fn one<R: TableRow, T>(&self, column: Column<R, T>, value: impl IntoValue<T>) -> One<R> {
        One(self.by(column, value).limit(1))
    }
}

/// A read of rows; `.await` it.
pub struct Many<R> {
    read: Option<Lookups>,
    ticket: u64,
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
            read.by.push(column.name.to_owned());
            let value = value.into_value();
            read.lookups.iter_mut().for_each(|lookup| lookup.values.push(value.clone()));
        }
        self
    }

    /// Those rows alone for which this holds, by the rules of the column's type; further conditions hold too.
    #[must_use]
    pub fn filter(mut self, condition: Condition<R>) -> Self {
        if let Some(read) = &mut self.read {
            read.filters.push(Filter::Condition(condition.condition));
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
            read.limit = Some(rows);
        }
        self
    }

    fn ordered(mut self, column: &str, descending: bool) -> Self {
        if let Some(read) = &mut self.read {
            read.order.push(Ordering { column: column.to_owned(), descending });
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
            this.ticket = shared.next;
            shared.next += 1;
            shared.waiting.push((this.ticket, read));
            return Poll::Pending;
        }
        match shared.answers.remove(&this.ticket) {
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
