//! The services and operations that are modelled.

/// The services that are modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// EC2 Auto Scaling.
    AutoScaling,
    /// Amazon CloudWatch.
    CloudWatch,
    /// Amazon DynamoDB.
    Dynamodb,
    /// Elastic Container Service.
    Ecs,
    /// Elastic Compute Cloud.
    Ec2,
    /// Amazon EventBridge.
    Events,
    /// AWS Lambda.
    Lambda,
    /// Simple Storage Service.
    S3,
    /// Systems Manager.
    Ssm,
    /// Security Token Service.
    Sts,
    /// A service that is not modelled.
    Unknown,
}

impl Service {
    /// As in IAM actions and in reports.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::AutoScaling => "autoscaling",
            Self::CloudWatch => "cloudwatch",
            Self::Dynamodb => "dynamodb",
            Self::Ecs => "ecs",
            Self::Ec2 => "ec2",
            Self::Events => "events",
            Self::Lambda => "lambda",
            Self::S3 => "s3",
            Self::Ssm => "ssm",
            Self::Sts => "sts",
            Self::Unknown => "unknown",
        }
    }
}

/// Every operation that is modelled.
pub(crate) const OPERATIONS: [&str; 46] = [
    "autoscaling:CreateOrUpdateTags",
    "autoscaling:DeleteTags",
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeAutoScalingInstances",
    "autoscaling:DescribeInstanceRefreshes",
    "autoscaling:DescribeLaunchConfigurations",
    "autoscaling:UpdateAutoScalingGroup",
    "cloudwatch:DescribeAlarms",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "ec2:CreateTags",
    "ec2:DeleteTags",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceStatus",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ecs:DeleteAttributes",
    "ecs:DescribeCapacityProviders",
    "ecs:DescribeClusters",
    "ecs:DescribeContainerInstances",
    "ecs:DescribeServices",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeTasks",
    "ecs:GetTaskProtection",
    "ecs:ListAttributes",
    "ecs:ListClusters",
    "ecs:ListContainerInstances",
    "ecs:ListServices",
    "ecs:ListTasks",
    "ecs:PutAttributes",
    "ecs:StopTask",
    "ecs:TagResource",
    "ecs:UntagResource",
    "ecs:UpdateContainerInstancesState",
    "events:PutEvents",
    "lambda:Invoke",
    "s3:PutObject",
    "ssm:DescribeInstanceInformation",
    "ssm:GetCommandInvocation",
    "ssm:GetParameter",
    "ssm:GetParameters",
    "ssm:ListCommandInvocations",
    "ssm:SendCommand",
    "sts:GetCallerIdentity",
];
