//! The controller: rolls Bottlerocket OS updates through ECS clusters.
//!
//! Observe, plan, act, observe again. [`planner`] decides and is pure; [`observe`] and [`execute`] speak to AWS;
//! [`run`] joins them. SDK types never leave [`aws`].

pub mod planner;
