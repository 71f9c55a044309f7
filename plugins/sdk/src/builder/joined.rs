//! Waiting for several reads at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use super::executor::{Failed, poll_into};

/// Reads that are waited for together; a tuple of two to six.
pub trait Join {
    /// What they give.
    type Output;
    /// Waits for all.
    fn join(self) -> impl Future<Output = Result<Self::Output, Failed>>;
}

/// Waits for a tuple of reads, or of other futures that give a `Result`; they cross to the host together.
///
/// # Errors
///
/// The first error among them.
pub async fn join<J: Join>(reads: J) -> Result<J::Output, Failed> {
    reads.join().await
}

macro_rules! tuples {
    ($($($future:ident: $output:ident),+;)+) => { $(
        impl<$($output,)+ $($future),+> Join for ($($future,)+)
        where
            $($future: Future<Output = Result<$output, Failed>>),+
        {
            type Output = ($($output,)+);

            #[allow(non_snake_case, reason = "one name for the type and the value")]
            async fn join(self) -> Result<Self::Output, Failed> {
                let ($($future,)+) = self;
                $(let mut $future = (Box::pin($future), None);)+
                poll_fn(|context| {
                    $(poll_into(&mut $future.1, $future.0.as_mut(), context);)+
                    match true $(&& $future.1.is_some())+ {
                        true => Poll::Ready(()),
                        false => Poll::Pending,
                    }
                })
                .await;
                Ok(($($future.1.unwrap_or_else(|| Err(never()))?,)+))
            }
        }
    )+ };
}

tuples! {
    A: OutputA, B: OutputB;
    A: OutputA, B: OutputB, C: OutputC;
    A: OutputA, B: OutputB, C: OutputC, D: OutputD;
    A: OutputA, B: OutputB, C: OutputC, D: OutputD, E: OutputE;
    A: OutputA, B: OutputB, C: OutputC, D: OutputD, E: OutputE, F: OutputF;
}

fn never() -> Failed {
    Failed::new("stuck", "a read ended without an answer")
}

/// Waits for any number of reads of one kind; they cross to the host together.
///
/// # Errors
///
/// The first error among them.
pub async fn join_all<T, F: Future<Output = Result<T, Failed>>>(
    reads: impl IntoIterator<Item = F>,
) -> Result<Vec<T>, Failed> {
    let mut all: Vec<(Pin<Box<F>>, Option<Result<T, Failed>>)> =
        reads.into_iter().map(|read| (Box::pin(read), None)).collect();
    poll_fn(|context| {
        let mut done = true;
        for (future, output) in &mut all {
            poll_into(output, future.as_mut(), context);
            done &= output.is_some();
        }
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    all.into_iter().map(|(_, output)| output.unwrap_or_else(|| Err(never()))).collect()
}
