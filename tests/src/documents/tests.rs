//! Each document on a host of its own: the happy path and each way to end early.
