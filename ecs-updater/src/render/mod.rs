//! What a person sees.

pub mod duration;
