//! CPU time of the simulator's own work, apart from the program under test: both run on one thread in process.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::time::ClockId;

thread_local! {
    /// Whether anybody measures: two system calls for each piece of work are not for every test.
    static ON: Cell<bool> = const { Cell::new(false) };
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// What a piece of work on this thread took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    /// The program under test, the AWS SDK and the runtime.
    pub program: Duration,
    pub simulator: Duration,
}

/// Runs a future on this thread and says what it took: each time that it goes on, until it waits again. What other
/// futures take meanwhile, and the runtime for them, such as a thousand hosts' agents, is not the program's.
pub async fn measure<T>(work: impl Future<Output = T>) -> (T, Cpu) {
    ON.set(true);
    SPENT.set(Duration::ZERO);
    let mut work = std::pin::pin!(work);
    let mut program = Duration::ZERO;
    let result = std::future::poll_fn(|cx| {
        let (began, simulated) = (thread_time(), SPENT.get());
        let polled = work.as_mut().poll(cx);
        let all = thread_time().saturating_sub(began);
        program += all.saturating_sub(SPENT.get() - simulated);
        polled
    })
    .await;
    ON.set(false);
    (result, Cpu { program, simulator: SPENT.get() })
}

/// Counts what `work` takes as the simulator's.
pub(crate) fn simulator<T>(work: impl FnOnce() -> T) -> T {
    if !ON.get() {
        return work();
    }
    let outermost = DEPTH.get() == 0;
    let began = outermost.then(thread_time);
    DEPTH.set(DEPTH.get() + 1);
    let result = work();
    DEPTH.set(DEPTH.get() - 1);
    if let Some(began) = began {
        SPENT.set(SPENT.get() + thread_time().saturating_sub(began));
    }
    result
}

/// A future whose work is the simulator's.
pub(crate) struct Simulated<F>(pub(crate) Pin<Box<F>>);

impl<F: Future> Future for Simulated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        simulator(|| self.0.as_mut().poll(cx))
    }
}

/// CPU time of this thread; zero where the system does not tell.
fn thread_time() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().map(Duration::from).unwrap_or_default()
}
