//! Guests that share one kind of work: each call takes one that is idle, or opens another.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::engine::StageError;
use crate::engine::stage::Result;

/// At most so many instances, all opened alike.
pub(super) struct Pool<T> {
    size: usize,
    seats: Semaphore,
    idle: Mutex<Vec<(u64, T)>>,
    /// How often the tables that instances look at were said to be reshaped. Instances of before are not used again.
    shape: AtomicU64,
}

/// An instance that one call uses. It is gone unless it is given back.
pub(super) struct Seat<'a, T> {
    _permit: SemaphorePermit<'a>,
    shape: u64,
    pub(super) instance: T,
}

impl<T> Pool<T> {
    pub(super) fn new(size: usize) -> Self {
        let size = size.max(1);
        Self { size, seats: Semaphore::new(size), idle: Mutex::default(), shape: AtomicU64::new(0) }
    }

    /// How many there are at most.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// An idle instance, or a new one.
    pub(super) async fn seat(&self, open: impl Future<Output = Result<T>>) -> Result<Seat<'_, T>> {
        let closed = |_| StageError::Fatal("the builder was closed".to_owned());
        let permit = self.seats.acquire().await.map_err(closed)?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let shape = self.shape.load(Ordering::Acquire);
        let (shape, instance) = match idle.filter(|(of, _)| *of == shape) {
            Some(seat) => seat,
            None => (shape, open.await?),
        };
        Ok(Seat { _permit: permit, shape, instance })
    }

    /// Gives an instance back, if it may be used again after this answer.
    pub(super) fn leave<A>(&self, seat: Seat<'_, T>, answer: &Result<A>) {
        if matches!(answer, Ok(_) | Err(StageError::Unsupported(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((seat.shape, seat.instance));
        }
    }

    /// No instance goes by what it saw of tables before.
    pub(super) fn reshaped(&self) {
        self.shape.fetch_add(1, Ordering::AcqRel);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
