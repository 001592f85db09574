//! The agent: follows the claim on its own instance, and reports back.
//!
//! ```text
//!  metadata service ──tags──▶ Facts ──observe──▶ Memory ──decide──▶ Act ──perform──▶ host API
//!  host API, ECS agent ─────────▲                  │ journal                             │
//!                                                  └──report──▶ ecs:PutAttributes ◀──────┘
//! ```
//!
//! The function [`decide()`] is the whole of its mind, and pure; [`Memory`] is what it may not forget; the rest carries it
//! out. It speaks to the host it runs on, to the metadata service, and to ECS with one action, `PutAttributes`; never
//! to another host.
//!
//! Everything around it is a trait or a connector ([`Environment`]), and every wait is on tokio's clock, so that the same
//! code runs in a simulated fleet on paused time.

mod act;
mod decide;
mod driver;
mod ecs;
mod environment;
mod facts;
mod imds;
mod journal;
mod machine;
mod memory;
mod perform;
mod report;
mod settings;
mod tls;

pub use act::{Act, Limits, Waits};
pub use decide::decide;
pub use driver::Agent;
pub use ecs::{Ecs, Endpoint, EndpointError, PutError, Sink};
pub use environment::Environment;
pub use facts::{Facts, Tags};
pub use imds::{Credentials, IMDS, Imds, ImdsError};
pub use journal::{FileJournal, Journal, JournalError, Lock, LockError, MemoryJournal};
pub use machine::{Machine, ThisMachine};
pub use memory::{FallingBack, GoingDown, Memory, Outcome, Placed, TakenUp, Target, Trial};
pub use settings::Settings;
