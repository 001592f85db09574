//! The tag by which IAM tells a host from the others: on each container instance, the ARN of the EC2 instance below it.
//!
//! The policy of the hosts' role allows `ecs:PutAttributes` where this tag is the ARN that the call comes from
//! (docs/host-bridge.md#installing-it).

use crate::ids::{ContainerInstanceArn, HostId};

/// The key of the tag.
pub const INSTANCE_TAG: &str = "ecs-updater:instance-arn";

/// Returns the ARN of the EC2 instance below a container instance: it is in the same partition, Region and account. `None`
/// where the container instance's own is no ARN.
pub fn instance_arn(of: &ContainerInstanceArn, host: &HostId) -> Option<String> {
    let parts: Vec<&str> = of.as_str().splitn(6, ':').collect();
    let [arn, partition, "ecs", region, account, _] = parts[..] else { return None };
    Some(format!("{arn}:{partition}:ec2:{region}:{account}:instance/{host}"))
}

/// Whether a tag's value is the ARN of the EC2 instance below a container instance.
pub fn is_named(tag: &str, of: &ContainerInstanceArn, host: &HostId) -> bool {
    let (tag, of): (Vec<&str>, Vec<&str>) = (tag.splitn(6, ':').collect(), of.as_str().splitn(6, ':').collect());
    let (
        [arn, partition, "ec2", region, account, instance],
        [its_arn, its_partition, "ecs", its_region, its_account, _],
    ) = (&tag[..], &of[..])
    else {
        return false;
    };
    (arn, partition, region, account) == (its_arn, its_partition, its_region, its_account)
        && instance.strip_prefix("instance/") == Some(host.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arn_is_of_the_same_account() {
        let host = HostId::from("i-0123456789abcdef0");
        let table = [
            (
                "arn:aws-cn:ecs:cn-north-1:123456789012:container-instance/web/1a2b",
                Some("arn:aws-cn:ec2:cn-north-1:123456789012:instance/i-0123456789abcdef0"),
            ),
            ("arn:aws:ec2:eu-west-1:123456789012:instance/i-1", None),
            ("1a2b", None),
        ];
        for (of, arn) in table {
            assert_eq!(instance_arn(&of.into(), &host).as_deref(), arn, "{of}");
            if let Some(tag) = arn {
                assert!(is_named(tag, &of.into(), &host) && !is_named(tag, &of.into(), &"i-2".into()), "{of}");
                assert!(!is_named(&tag.replace("cn-north-1", "cn-northwest-1"), &of.into(), &host), "{of}");
            }
        }
    }
}
