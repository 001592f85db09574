//! How a step reaches a host. One way so far: SSM documents.

pub(crate) mod ssm;
