//! Updater.
