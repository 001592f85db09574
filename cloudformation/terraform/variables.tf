# Made by generate.py from ecs-updater.yaml: its parameters.

variable "cluster_names" {
  description = "Names of the clusters to update, separated by commas; no ARNs. One run works on all of them, each with its own budget."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.cluster_names) > 0 && alltrue([for item in var.cluster_names : can(regex("^[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}$", item))])
    error_message = "cluster_names must be cluster names with commas and no spaces between."
  }
}

variable "cluster_patterns" {
  description = "For more than some 25 clusters, whose names do not fit into an IAM policy. Patterns such as web-*,batch-?, which the policies allow in place of the names. Every name in ClusterNames must match one."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for item in var.cluster_patterns : can(regex("^[a-zA-Z0-9_*?-]{0,255}$", item))])
    error_message = "cluster_patterns must be name patterns with commas and no spaces between, or empty."
  }
}

variable "config_parameter" {
  description = "Name of an SSM parameter that holds the configuration in TOML (docs/configuration.md), such as /ecs-updater/config. It can hold settings for single clusters. The parameters below override it if they are given."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^((/[A-Za-z0-9_.-]+)+)?$", var.config_parameter))
    error_message = "config_parameter must begin with a slash and be letters, digits and _ . - /, or be empty."
  }
}

variable "settings" {
  description = "Any other settings, as in [defaults] of the configuration (docs/configuration.md), separated by commas, such as zone = \"one-at-a-time\", timeouts.verify = \"20m\". A parameter below overrides the same setting here."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^[^<>]*$", var.settings))
    error_message = "settings must be settings with commas between, or empty."
  }
}

variable "max_unavailable" {
  description = "Instances of a cluster that may be out of service at once, no matter who took them out. A count such as 2, or a percentage such as 10%. Empty leaves it to the configuration, else 1."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([1-9][0-9]{0,5}|([1-9][0-9]?|100)%)?$", var.max_unavailable))
    error_message = "max_unavailable must be a count from 1, a percentage from 1% to 100%, or empty."
  }
}

variable "capacity" {
  description = "Where the tasks of a drained instance find room. room is on the instances in service; with scale-out they may also wait for an instance that the managed scaling of their capacity provider launches. Empty leaves it to the configuration, else room."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = contains(["", "room", "scale-out"], var.capacity)
    error_message = "capacity must be one of empty, room, scale-out."
  }
}

variable "target" {
  description = "latest (what each host chooses once its update wave opens), one version such as 1.67.0 for every host, or ssm:/ecs-updater/approved/NAME, an SSM parameter that holds one. Empty leaves it to the configuration, else latest."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(latest|ssm:/ecs-updater/approved/[0-9A-Za-z_./-]+|v?(0|[1-9][0-9]*)(\\.(0|[1-9][0-9]*))+([-+][0-9A-Za-z.+-]+)?)?$", var.target))
    error_message = "target must be latest, a version such as 1.67.0, ssm:/ecs-updater/approved/NAME, or empty."
  }
}

variable "standalone_tasks" {
  description = "What to do with an instance that runs tasks of no service, which nothing restarts elsewhere. skip leaves the instance alone, wait waits until the tasks end, stop stops them. Only with stop may the updater stop tasks. Empty leaves it to the configuration, else skip."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = contains(["", "skip", "wait", "stop"], var.standalone_tasks)
    error_message = "standalone_tasks must be one of empty, skip, wait, stop."
  }
}

variable "bridge_policy" {
  description = "What the hosts' instance role lets a host bridge report on. own-host is its own container instance only, by a tag that the updater writes (docs/host-bridge.md); cluster is every one in the cluster. Empty leaves it to the configuration, else cluster."
  type        = string
  default     = "own-host"
  nullable    = false

  validation {
    condition     = contains(["", "own-host", "cluster"], var.bridge_policy)
    error_message = "bridge_policy must be one of empty, own-host, cluster."
  }
}

variable "instance_scope" {
  description = "If given, IAM lets the updater send commands to and write tags on only those instances whose tag ecs-updater:scope has this value. Every instance of the clusters then needs the tag."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9+=.,_:@/-]{0,256}$", var.instance_scope))
    error_message = "instance_scope must be a tag value of letters, digits and + - = . , _ : @ /."
  }
}

variable "schedule_expression" {
  description = "When a run starts, as EventBridge Scheduler writes it, such as cron(0 3 ? * MON-FRI *), rate(6 hours) or at(2026-12-01T03:00:00)."
  type        = string
  default     = "cron(0 3 * * ? *)"
  nullable    = false

  validation {
    condition     = can(regex("^(cron|rate|at)\\([A-Za-z0-9 ,*?/#:-]{1,120}\\)$", var.schedule_expression))
    error_message = "schedule_expression must be cron(...), rate(...) or at(...)."
  }
}

variable "schedule_timezone" {
  description = "Time zone of the schedule, such as Europe/Berlin. The schedule follows its daylight saving time."
  type        = string
  default     = "UTC"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", var.schedule_timezone))
    error_message = "schedule_timezone must be an IANA time zone such as Europe/Berlin."
  }
}

variable "schedule_state" {
  description = "DISABLED keeps the schedule from starting runs; runs by hand still work."
  type        = string
  default     = "ENABLED"
  nullable    = false

  validation {
    condition     = contains(["ENABLED", "DISABLED"], var.schedule_state)
    error_message = "schedule_state must be one of ENABLED, DISABLED."
  }
}

variable "flexible_window_minutes" {
  description = "Minutes after the scheduled time within which a run may start. 0 starts it on time."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.flexible_window_minutes >= 0 && var.flexible_window_minutes <= 1440 && floor(var.flexible_window_minutes) == var.flexible_window_minutes
    error_message = "flexible_window_minutes must be a whole number from 0 to 1440."
  }
}

variable "start_retries" {
  description = "How often a start that ECS refused is retried. A run that failed is not restarted before its next scheduled time."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.start_retries >= 0 && var.start_retries <= 185 && floor(var.start_retries) == var.start_retries
    error_message = "start_retries must be a whole number from 0 to 185."
  }
}

variable "start_deadline_seconds" {
  description = "Seconds after the scheduled time within which a start must succeed. After them it is given up and goes to the dead-letter queue."
  type        = number
  default     = 900
  nullable    = false

  validation {
    condition     = var.start_deadline_seconds >= 60 && var.start_deadline_seconds <= 86400 && floor(var.start_deadline_seconds) == var.start_deadline_seconds
    error_message = "start_deadline_seconds must be a whole number from 60 to 86400."
  }
}

variable "max_duration" {
  description = "After this time a run begins no further instance, but finishes those in progress. A duration from 1m to 14d such as 4h or 90m, or none. Empty leaves it to the configuration, else none."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(none|[1-9][0-9]{0,6}[smhd])?$", var.max_duration))
    error_message = "max_duration must be none, a time such as 4h, or empty."
  }
}

variable "windows" {
  description = "Times at which updates may begin, separated by semicolons, such as Mon-Fri 02:00-05:00 Europe/Berlin. none means always. Empty leaves it to the configuration, else none."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9 ,:;/_+-]*$", var.windows))
    error_message = "windows must be windows, none, or empty."
  }
}

variable "drain_timeout" {
  description = "The longest time from DRAINING until the last task has stopped. After that the instance is set ACTIVE again and reported as failed. 30s to 14d. Empty leaves it to the configuration, else 20m."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([1-9][0-9]{0,6}[smhd])?$", var.drain_timeout))
    error_message = "drain_timeout must be a time such as 20m, or empty."
  }
}

variable "image" {
  description = "The updater's container image, by its tag or, better, by its digest, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecs-updater@sha256:..."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][A-Za-z0-9._:/@-]{1,511}$", var.image))
    error_message = "image must be an image reference."
  }
}

variable "image_repository_arn" {
  description = "ARN of the image's repository if it is a private one in Amazon ECR; empty for a public image."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:ecr:[a-z0-9-]+:[0-9]{12}:repository/[a-z0-9._/-]+)?$", var.image_repository_arn))
    error_message = "image_repository_arn must be the ARN of an ECR repository, or empty."
  }
}

variable "cpu_architecture" {
  description = "Architecture of the updater's own task, not of the hosts. The image must have it."
  type        = string
  default     = "X86_64"
  nullable    = false

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture must be one of X86_64, ARM64."
  }
}

variable "task_cluster" {
  description = "Name of the cluster in which the updater's task runs, on Fargate. Empty means the first of the clusters to update; the task takes no room on its instances."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([a-zA-Z0-9][a-zA-Z0-9_-]{0,254})?$", var.task_cluster))
    error_message = "task_cluster must be a cluster name, or empty."
  }
}

variable "vpc_id" {
  description = "VPC of the subnets. The stack creates a security group there for the updater's task that lets nothing in. If empty, the task gets the VPC's default security group, which must let HTTPS out."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(vpc-[0-9a-f]{8,17})?$", var.vpc_id))
    error_message = "vpc_id must be the ID of a VPC, or empty."
  }
}

variable "subnet_ids" {
  description = "Subnets of the updater's task, with a way to the AWS APIs (NAT, VPC endpoints, or a public IP address). They need not be in the hosts' VPC."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "subnet_ids must have an item."
  }
}

variable "assign_public_ip" {
  description = "ENABLED in public subnets without NAT. Nothing can connect to the task either way."
  type        = string
  default     = "DISABLED"
  nullable    = false

  validation {
    condition     = contains(["ENABLED", "DISABLED"], var.assign_public_ip)
    error_message = "assign_public_ip must be one of ENABLED, DISABLED."
  }
}

variable "log_level" {
  description = "What the updater logs."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = contains(["error", "warn", "info", "debug", "trace"], var.log_level)
    error_message = "log_level must be one of error, warn, info, debug, trace."
  }
}

variable "log_retention_days" {
  description = "Days that the logs are kept."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

variable "kms_key_arn" {
  description = "ARN of a KMS key for the logs, the dead-letter queue and the stack's own topic, whose key policy allows those services (docs/deploy.md). Empty means AWS's own keys."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key (no alias), or empty."
  }
}

variable "no_success_days" {
  description = "While the schedule is ENABLED, or a fleet starts the runs, an alarm goes off when no run has succeeded for this many days, 7 at most, and another one when every run in these days found another run at work. 0 creates no such alarms, for a schedule that starts less often."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.no_success_days >= 0 && var.no_success_days <= 7 && floor(var.no_success_days) == var.no_success_days
    error_message = "no_success_days must be a whole number from 0 to 7."
  }
}

variable "no_progress_days" {
  description = "An alarm goes off when something has been outdated for a week and nothing was updated for this many days."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = var.no_progress_days >= 7 && var.no_progress_days <= 3650 && floor(var.no_progress_days) == var.no_progress_days
    error_message = "no_progress_days must be a whole number from 7 to 3650."
  }
}

variable "notification_topic_arn" {
  description = "ARN of an SNS topic of your own for the alarms; empty for none."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256})?$", var.notification_topic_arn))
    error_message = "notification_topic_arn must be the ARN of an SNS topic, or empty."
  }
}

variable "notification_email" {
  description = "If given, the stack creates an SNS topic for the alarms and subscribes this address, which has to confirm by mail."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([^@\\s]{1,64}@[^@\\s]{1,190})?$", var.notification_email))
    error_message = "notification_email must be an e-mail address, or empty."
  }
}

variable "document_prefix" {
  description = "First part of the SSM documents' names. A second stack in the same account and Region needs another."
  type        = string
  default     = "EcsUpdater"
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9_.-]{2,30}$", var.document_prefix)) && !can(regex("^([Aa][Mm][Aa][Zz][Oo][Nn]|[Aa][Mm][Zz][Nn]|[Aa][Ww][Ss])", var.document_prefix))
    error_message = "document_prefix must be letters, digits and _ . -, and begin with a letter, not with aws, amazon or amzn."
  }
}

variable "fleet_role_arn" {
  description = "RoleArn of a fleet.yaml stack that may start runs here; empty for none. With a fleet, set the schedule to DISABLED."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512})?$", var.fleet_role_arn))
    error_message = "fleet_role_arn must be the ARN of an IAM role, or empty."
  }
}
