//! Many simulations side by side: each on a thread with a runtime of its own, and no more of them at a time in the whole
//! process than there are cores for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// Does `work` for every item on `threads` threads, and gives the results in the order of the items.
pub fn all<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((index, item)) = take(&next, items) {
                    let place = Place::taken();
                    let result = work(item);
                    drop(place);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// How many simulations run now.
static RUNNING: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// The right to run one simulation, until it is dropped.
struct Place;

impl Place {
    fn taken() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |running: &mut usize| *running >= threads();
        let mut running = FREED.wait_while(running, is_full).unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

fn take<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    items.get(index).map(|item| (index, item))
}

/// As many threads as there are cores, two at most where nobody says more: others build and test beside us.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2))
}

/// Which share of all its cases a test takes, "each so-manyth": what `EVERY` says in the environment, else `usual`.
///
/// # Panics
/// `EVERY` is no number from 1.
pub fn every(usual: usize) -> usize {
    let Ok(text) = std::env::var("EVERY") else { return usual };
    text.parse().ok().filter(|every| *every > 0).unwrap_or_else(|| panic!("EVERY must be a count from 1, not {text:?}"))
}
