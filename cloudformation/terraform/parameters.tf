# Made by generate.py from ecs-updater.yaml: each variable's parameter.

locals {
  parameters = {
    ClusterNames          = join(",", var.cluster_names)
    ClusterPatterns       = join(",", var.cluster_patterns)
    ConfigParameter       = var.config_parameter
    Settings              = var.settings
    MaxUnavailable        = var.max_unavailable
    Capacity              = var.capacity
    Target                = var.target
    StandaloneTasks       = var.standalone_tasks
    BridgePolicy          = var.bridge_policy
    InstanceScope         = var.instance_scope
    ScheduleExpression    = var.schedule_expression
    ScheduleTimezone      = var.schedule_timezone
    ScheduleState         = var.schedule_state
    FlexibleWindowMinutes = tostring(var.flexible_window_minutes)
    StartRetries          = tostring(var.start_retries)
    StartDeadlineSeconds  = tostring(var.start_deadline_seconds)
    MaxDuration           = var.max_duration
    Windows               = var.windows
    DrainTimeout          = var.drain_timeout
    Image                 = var.image
    ImageRepositoryArn    = var.image_repository_arn
    CpuArchitecture       = var.cpu_architecture
    TaskCluster           = var.task_cluster
    VpcId                 = var.vpc_id
    SubnetIds             = join(",", var.subnet_ids)
    AssignPublicIp        = var.assign_public_ip
    LogLevel              = var.log_level
    LogRetentionDays      = tostring(var.log_retention_days)
    KmsKeyArn             = var.kms_key_arn
    NoSuccessDays         = tostring(var.no_success_days)
    NoProgressDays        = tostring(var.no_progress_days)
    NotificationTopicArn  = var.notification_topic_arn
    NotificationEmail     = var.notification_email
    DocumentPrefix        = var.document_prefix
    FleetRoleArn          = var.fleet_role_arn
  }
}
