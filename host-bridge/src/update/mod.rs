//! Drives the update state machine of one host.
//!
//! # The protocol
//! An update command is a POST that is answered as soon as its work has *started*; the work goes on in a process of
//! its own that holds the update lock, and its result replaces `most_recent_command` in the status. So a command is
//! *issued, then waited for*:
//!
//! 1. Read the status and remember `most_recent_command.timestamp`. 404 means none (always so after a boot, the
//!    status lives on a tmpfs); 423 means that somebody's command runs: wait.
//! 2. POST. 423: somebody was faster, begin again. 409 and 404: refused, nothing happens. 500: failed, nothing happens.
//! 3. Poll the status. 423 is our command at work. It has ended when the timestamp is a new one *and* `cmd_type` is
//!    ours; then `cmd_status` decides.
//!
//! ```text
//!           refresh                 prepare            activate
//!   Idle ─────────────▶ Available ───────────▶ Staged ───────────▶ Ready ──reboot──▶ (new boot, no status)
//!     ▲  failed refresh     │                   │  ▲  deactivate     │
//!     └─────────────────────┘            prepare└──┘◀────────────────┘
//! ```
//!
//! # What stays ambiguous
//! - A killed worker frees the lock and leaves the old status, exactly as one that has not begun. After
//!   [`GONE_AFTER`] without the lock held we stop waiting: [`Unsure`], not failed.
//! - The deadline can pass while the worker runs; it is not stopped by that and may still succeed: [`Unsure`].
//! - The answer to the POST can get lost. Then we wait as if it had started.
//! - Another client can run its command between the end of ours and our next look, and its result replaces ours.
//!   A refresh is then done again; for activate and deactivate the state tells what holds; for prepare, nothing
//!   does, because only the worker's output names the version that was written.
//! - Only `/os` after the next boot proves a version (docs/facts/host-api.md#trap-2).
//!
//! # Dropping a future
//! Every operation may be dropped at any point: what the host has begun goes on there, nothing is left in this
//! process, and the same operation done again picks up where the host is. A dropped [`Visit::stage`] or
//! [`Visit::roll_back`] may leave `version-lock` pinned; [`Visit::restore_lock`] puts it back.
//!
//! This module decides nothing about *whether* an update is wanted, and does not reboot.

mod commands;
mod error;
mod issue;
mod lock;
mod stage;
mod status;
mod visit;

pub use commands::Switched;
pub use error::{Unsure, UpdateError, chain};
pub use issue::GONE_AFTER;
pub use lock::{LATEST, LockAfter};
pub use stage::{StageRequest, Staged};
pub use status::{chosen_version, staged_version, wrote_version};
pub use visit::Visit;
