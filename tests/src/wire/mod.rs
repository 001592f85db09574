//! The AWS protocols, onto the world: ECS, SSM and EventBridge (JSON 1.1), DynamoDB (JSON 1.0), EC2, EC2 Auto Scaling and STS
//! (Query in, XML out), CloudWatch (RPC v2 CBOR), Lambda (REST and JSON), S3 (REST).
//!
//! An operation or a parameter that is not modelled is a loud error, `SimulatorUnknown…`, and recorded.

pub(crate) mod asked;
mod autoscaling;
mod buckets;
mod calls;
mod cloudwatch;
mod dispatch;
mod dynamodb;
mod ec2;
mod ecs;
mod events;
mod failure;
mod faults;
pub(crate) mod form;
mod gateway;
mod lambda;
mod page;
pub(crate) mod params;
mod partial;
mod request;
pub(crate) mod s3;
pub(crate) mod service;
mod ssm;
mod sts;
mod xml;

#[cfg(test)]
mod tests;

pub use calls::{Call, Outcome};
pub(crate) use gateway::Gateway;
pub use request::{Aim, Caller, Request, Response, Rest, Signature};
pub use service::Service;
