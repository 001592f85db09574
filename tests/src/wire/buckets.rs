//! The token buckets of docs/facts/ecs.md#rates and docs/facts/ec2.md#rates: per account and Region; the actions of one
//! row share one bucket.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::failure::Failure;
use super::service::Service;

/// A row of the table: name, burst, tokens a second.
type Row = (&'static str, u32, u32);

const CLUSTER_RESOURCE_MODIFY: Row = ("ecs cluster resource modify", 100, 40);
const CLUSTER_RESOURCE_READ: Row = ("ecs cluster resource read", 100, 20);
const SERVICE_READ: Row = ("ecs service read", 100, 20);
const TASK_PROTECTION: Row = ("ecs task protection", 200, 80);
/// `TagResource`.
const TAG_MODIFY: Row = ("ecs tag modify", 20, 10);
const CLUSTER_READ: Row = ("ecs cluster read", 50, 20);
const CAPACITY_PROVIDER_READ: Row = ("ecs capacity provider read", 50, 20);
const TASK_DEFINITION_READ: Row = ("ecs task definition read", 50, 20);
const EC2_READ: Row = ("ec2 non-mutating", 100, 20);
/// `CreateTags` and `DeleteTags`.
const EC2_TAG: Row = ("ec2 tags", 100, 10);

/// `DescribeAlarms` (docs/facts/cloudwatch.md#rates).
const CLOUDWATCH_ALARMS: Row = ("cloudwatch DescribeAlarms", 9, 9);

/// All buckets.
#[derive(Debug, Default)]
pub(super) struct Buckets(BTreeMap<String, Bucket>);

#[derive(Debug)]
struct Bucket {
    burst: f64,
    tokens: f64,
    lowest: f64,
    filled_at: Timestamp,
}

impl Buckets {
    /// Takes a token for a call.
    pub(super) fn take(
        &mut self,
        service: Service,
        operation: &str,
        ssm_rate: (u32, u32),
        now: Timestamp,
    ) -> Result<(), Failure> {
        let Some((name, burst, rate)) = row(service, operation, ssm_rate) else { return Ok(()) };
        let (burst, rate) = (f64::from(burst), f64::from(rate));
        let bucket = self.0.entry(name).or_insert(Bucket { burst, tokens: burst, lowest: burst, filled_at: now });
        let passed = now.duration_since(bucket.filled_at).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + passed * rate).min(burst);
        bucket.filled_at = now;
        if bucket.tokens < 1.0 {
            return Err(throttled(service));
        }
        bucket.tokens -= 1.0;
        bucket.lowest = bucket.lowest.min(bucket.tokens);
        Ok(())
    }

    /// The largest share of each that was in use at once, from 0 to 1.
    pub(super) fn most_used(&self) -> BTreeMap<String, f64> {
        self.0.iter().map(|(name, bucket)| (name.clone(), 1.0 - bucket.lowest / bucket.burst)).collect()
    }
}

/// The error of a refused call.
pub(super) fn throttled(service: Service) -> Failure {
    match service {
        Service::Ec2 => Failure { status: 503, ..Failure::new("RequestLimitExceeded", "Request limit exceeded.") },
        Service::AutoScaling | Service::CloudWatch => Failure::new("Throttling", "Rate exceeded"),
        Service::S3 => Failure { status: 503, ..Failure::new("SlowDown", "Please reduce your request rate.") },
        Service::Lambda => Failure { status: 429, ..Failure::new("TooManyRequestsException", "Rate Exceeded.") },
        Service::Dynamodb | Service::Ecs | Service::Events | Service::Ssm | Service::Sts | Service::Unknown => {
            Failure::new("ThrottlingException", "Rate exceeded")
        }
    }
}

fn row(service: Service, operation: &str, ssm_rate: (u32, u32)) -> Option<(String, u32, u32)> {
    let (name, burst, rate) = match (service, operation) {
        (
            Service::Ecs,
            "UpdateContainerInstancesState"
            | "PutAttributes"
            | "DeleteAttributes"
            | "StopTask"
            | "RunTask"
            | "StartTask",
        ) => CLUSTER_RESOURCE_MODIFY,
        (
            Service::Ecs,
            "DescribeContainerInstances" | "ListContainerInstances" | "DescribeTasks" | "ListTasks" | "ListAttributes",
        ) => CLUSTER_RESOURCE_READ,
        (Service::Ecs, "DescribeServices" | "ListServices") => SERVICE_READ,
        (Service::Ecs, "GetTaskProtection" | "UpdateTaskProtection") => TASK_PROTECTION,
        (Service::Ecs, "DescribeClusters" | "ListClusters") => CLUSTER_READ,
        (Service::Ecs, "TagResource" | "UntagResource") => TAG_MODIFY,
        (Service::Ec2, "CreateTags" | "DeleteTags") => EC2_TAG,
        (Service::Ec2, _) => EC2_READ,
        (Service::Ecs, "DescribeTaskDefinition") => TASK_DEFINITION_READ,
        (Service::Ecs, "DescribeCapacityProviders") => CAPACITY_PROVIDER_READ,
        (Service::CloudWatch, _) => CLOUDWATCH_ALARMS,
        // Neither service publishes its rates.
        (Service::AutoScaling, _) => return Some(("autoscaling".to_owned(), ssm_rate.0, ssm_rate.1)),
        (Service::Ssm, operation) => return Some((format!("ssm {operation}"), ssm_rate.0, ssm_rate.1)),
        // A table on demand has no rate worth counting here, nor has a bucket.
        (
            Service::Dynamodb
            | Service::Ecs
            | Service::Events
            | Service::Lambda
            | Service::S3
            | Service::Sts
            | Service::Unknown,
            _,
        ) => {
            return None;
        }
    };
    Some((name.to_owned(), burst, rate))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_row_shares_its_bucket_and_refills() {
        let mut buckets = Buckets::default();
        let now: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let mut take = |operation, now| buckets.take(Service::Ecs, operation, (1, 1), now);
        for n in 0..100 {
            let operation = if n % 2 == 0 { "ListTasks" } else { "DescribeTasks" };
            take(operation, now).unwrap();
        }
        assert_eq!(take("ListContainerInstances", now).unwrap_err().code, "ThrottlingException");
        take("ListServices", now).unwrap();
        let later = now + SignedDuration::from_millis(100);
        take("ListTasks", later).unwrap();
        take("ListTasks", later).unwrap();
        assert!(take("ListTasks", later).is_err());
    }

    #[test]
    fn ec2_has_its_own_error() {
        let mut buckets = Buckets::default();
        let now: Timestamp = "2026-11-23T03:00:00Z".parse().unwrap();
        let results: Vec<_> = (0..101).map(|_| buckets.take(Service::Ec2, "DescribeInstances", (1, 1), now)).collect();
        assert!(results[..100].iter().all(Result::is_ok));
        let failure = results[100].clone().unwrap_err();
        assert_eq!((failure.status, failure.code.as_str()), (503, "RequestLimitExceeded"));
    }
}
