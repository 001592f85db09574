// Made by generate.py from ecs-updater.yaml: its parameters and outputs.

/** The parameters of the stack. */
export interface EcsUpdaterParameters {
  /** Names of the clusters to update, separated by commas; no ARNs. One run works on all of them, each with its own budget. */
  readonly clusterNames: string[];
  /** For more than some 25 clusters, whose names do not fit into an IAM policy. Patterns such as web-*,batch-?, which the policies allow in place of the names. Every name in ClusterNames must match one.
   *
   * @default ""
   */
  readonly clusterPatterns?: string[];
  /** Name of an SSM parameter that holds the configuration in TOML (docs/configuration.md), such as /ecs-updater/config. It can hold settings for single clusters. The parameters below override it if they are given.
   *
   * @default ""
   */
  readonly configParameter?: string;
  /** Any other settings, as in [defaults] of the configuration (docs/configuration.md), separated by commas, such as zone = "one-at-a-time", timeouts.verify = "20m". A parameter below overrides the same setting here.
   *
   * @default ""
   */
  readonly settings?: string;
  /** Instances of a cluster that may be out of service at once, no matter who took them out. A count such as 2, or a percentage such as 10%. Empty leaves it to the configuration, else 1.
   *
   * @default ""
   */
  readonly maxUnavailable?: string;
  /** Where the tasks of a drained instance find room. room is on the instances in service; with scale-out they may also wait for an instance that the managed scaling of their capacity provider launches. Empty leaves it to the configuration, else room.
   *
   * @default ""
   */
  readonly capacity?: "" | "room" | "scale-out";
  /** latest (what each host chooses once its update wave opens), one version such as 1.67.0 for every host, or ssm:/ecs-updater/approved/NAME, an SSM parameter that holds one. Empty leaves it to the configuration, else latest.
   *
   * @default ""
   */
  readonly target?: string;
  /** What to do with an instance that runs tasks of no service, which nothing restarts elsewhere. skip leaves the instance alone, wait waits until the tasks end, stop stops them. Only with stop may the updater stop tasks. Empty leaves it to the configuration, else skip.
   *
   * @default ""
   */
  readonly standaloneTasks?: "" | "skip" | "wait" | "stop";
  /** What the hosts' instance role lets a host bridge report on. own-host is its own container instance only, by a tag that the updater writes (docs/host-bridge.md); cluster is every one in the cluster. Empty leaves it to the configuration, else cluster.
   *
   * @default "own-host"
   */
  readonly bridgePolicy?: "" | "own-host" | "cluster";
  /** If given, IAM lets the updater send commands to and write tags on only those instances whose tag ecs-updater:scope has this value. Every instance of the clusters then needs the tag.
   *
   * @default ""
   */
  readonly instanceScope?: string;
  /** When a run starts, as EventBridge Scheduler writes it, such as cron(0 3 ? * MON-FRI *), rate(6 hours) or at(2026-12-01T03:00:00).
   *
   * @default "cron(0 3 * * ? *)"
   */
  readonly scheduleExpression?: string;
  /** Time zone of the schedule, such as Europe/Berlin. The schedule follows its daylight saving time.
   *
   * @default "UTC"
   */
  readonly scheduleTimezone?: string;
  /** DISABLED keeps the schedule from starting runs; runs by hand still work.
   *
   * @default "ENABLED"
   */
  readonly scheduleState?: "ENABLED" | "DISABLED";
  /** Minutes after the scheduled time within which a run may start. 0 starts it on time.
   *
   * @default 0
   */
  readonly flexibleWindowMinutes?: number;
  /** How often a start that ECS refused is retried. A run that failed is not restarted before its next scheduled time.
   *
   * @default 3
   */
  readonly startRetries?: number;
  /** Seconds after the scheduled time within which a start must succeed. After them it is given up and goes to the dead-letter queue.
   *
   * @default 900
   */
  readonly startDeadlineSeconds?: number;
  /** After this time a run begins no further instance, but finishes those in progress. A duration from 1m to 14d such as 4h or 90m, or none. Empty leaves it to the configuration, else none.
   *
   * @default ""
   */
  readonly maxDuration?: string;
  /** Times at which updates may begin, separated by semicolons, such as Mon-Fri 02:00-05:00 Europe/Berlin. none means always. Empty leaves it to the configuration, else none.
   *
   * @default ""
   */
  readonly windows?: string;
  /** The longest time from DRAINING until the last task has stopped. After that the instance is set ACTIVE again and reported as failed. 30s to 14d. Empty leaves it to the configuration, else 20m.
   *
   * @default ""
   */
  readonly drainTimeout?: string;
  /** The updater's container image, by its tag or, better, by its digest, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/ecs-updater@sha256:... */
  readonly image: string;
  /** ARN of the image's repository if it is a private one in Amazon ECR; empty for a public image.
   *
   * @default ""
   */
  readonly imageRepositoryArn?: string;
  /** Architecture of the updater's own task, not of the hosts. The image must have it.
   *
   * @default "X86_64"
   */
  readonly cpuArchitecture?: "X86_64" | "ARM64";
  /** Name of the cluster in which the updater's task runs, on Fargate. Empty means the first of the clusters to update; the task takes no room on its instances.
   *
   * @default ""
   */
  readonly taskCluster?: string;
  /** VPC of the subnets. The stack creates a security group there for the updater's task that lets nothing in. If empty, the task gets the VPC's default security group, which must let HTTPS out.
   *
   * @default ""
   */
  readonly vpcId?: string;
  /** Subnets of the updater's task, with a way to the AWS APIs (NAT, VPC endpoints, or a public IP address). They need not be in the hosts' VPC. */
  readonly subnetIds: string[];
  /** ENABLED in public subnets without NAT. Nothing can connect to the task either way.
   *
   * @default "DISABLED"
   */
  readonly assignPublicIp?: "ENABLED" | "DISABLED";
  /** What the updater logs.
   *
   * @default "info"
   */
  readonly logLevel?: "error" | "warn" | "info" | "debug" | "trace";
  /** Days that the logs are kept.
   *
   * @default 90
   */
  readonly logRetentionDays?: 1 | 3 | 5 | 7 | 14 | 30 | 60 | 90 | 120 | 150 | 180 | 365 | 400 | 545 | 731 | 1096 | 1827 | 2192 | 2557 | 2922 | 3288 | 3653;
  /** ARN of a KMS key for the logs, the dead-letter queue and the stack's own topic, whose key policy allows those services (docs/deploy.md). Empty means AWS's own keys.
   *
   * @default ""
   */
  readonly kmsKeyArn?: string;
  /** While the schedule is ENABLED, or a fleet starts the runs, an alarm goes off when no run has succeeded for this many days, 7 at most, and another one when every run in these days found another run at work. 0 creates no such alarms, for a schedule that starts less often.
   *
   * @default 3
   */
  readonly noSuccessDays?: number;
  /** An alarm goes off when something has been outdated for a week and nothing was updated for this many days.
   *
   * @default 14
   */
  readonly noProgressDays?: number;
  /** ARN of an SNS topic of your own for the alarms; empty for none.
   *
   * @default ""
   */
  readonly notificationTopicArn?: string;
  /** If given, the stack creates an SNS topic for the alarms and subscribes this address, which has to confirm by mail.
   *
   * @default ""
   */
  readonly notificationEmail?: string;
  /** First part of the SSM documents' names. A second stack in the same account and Region needs another.
   *
   * @default "EcsUpdater"
   */
  readonly documentPrefix?: string;
  /** RoleArn of a fleet.yaml stack that may start runs here; empty for none. With a fleet, set the schedule to DISABLED.
   *
   * @default ""
   */
  readonly fleetRoleArn?: string;
}

/** The outputs of the stack. */
export interface EcsUpdaterOutputs {
  /** Starts a run by hand */
  readonly runNow: string;
  /** Starts a dry run by hand, which changes nothing and is permitted nothing else */
  readonly planNow: string;
  /** Checks the prerequisites by hand, host by host, with the role of a dry run */
  readonly doctorNow: string;
  /** Follows the log of the runs. Needs version 2 of the AWS CLI */
  readonly followLogs: string;
  /** Shows the log of the runs, with either version of the AWS CLI */
  readonly readLogs: string;
  /** Cluster in which the updater's task runs */
  readonly taskClusterName: string;
  /** Log group of the runs */
  readonly logGroupName: string;
  /** Table with the leases; runs from elsewhere use it with --lease-table */
  readonly leaseTableName: string;
  /** Log group that says how each run's task ended */
  readonly eventLogGroupName: string;
  /** Queue of the starts that were given up */
  readonly deadLetterQueueUrl: string;
  /** Task definition of a run */
  readonly taskDefinitionArn: string;
  /** Task definition of a dry run */
  readonly planTaskDefinitionArn: string;
  /** Role of the updater */
  readonly taskRoleArn: string;
  /** Policy that suffices for ecs-updater plan; attach it to the people and roles that plan from elsewhere */
  readonly planPolicyArn: string;
  /** Policy that ecs-updater run needs beyond the plan policy */
  readonly updatePolicyArn: string;
}

/** What a parameter takes. */
export interface Limits {
  readonly list: boolean;
  readonly pattern?: string;
  readonly says?: string;
  readonly values?: readonly string[];
  readonly min?: number;
  readonly max?: number;
}

export const PARAMETERS: Readonly<Record<keyof EcsUpdaterParameters, Limits>> = {
  clusterNames: { list: true, pattern: "^[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}$", says: "must be cluster names with commas and no spaces between" },
  clusterPatterns: { list: true, pattern: "^[a-zA-Z0-9_*?-]{0,255}$", says: "must be name patterns with commas and no spaces between, or empty" },
  configParameter: { list: false, pattern: "^((/[A-Za-z0-9_.-]{1,100}){1,15})?$", says: "must begin with a slash and be letters, digits and _ . - /, or be empty" },
  settings: { list: false, pattern: "^[^<>]*$", says: "must be settings with commas between, or empty" },
  maxUnavailable: { list: false, pattern: "^([1-9][0-9]{0,5}|([1-9][0-9]?|100)%)?$", says: "must be a count from 1, a percentage from 1% to 100%, or empty" },
  capacity: { list: false, values: ["", "room", "scale-out"] },
  target: { list: false, pattern: "^(latest|ssm:/ecs-updater/approved/[0-9A-Za-z_./-]{1,200}|v?(0|[1-9][0-9]{0,8})(\\.(0|[1-9][0-9]{0,8})){2}([-+][0-9A-Za-z.+-]{1,64})?)?$", says: "must be latest, a version such as 1.67.0, ssm:/ecs-updater/approved/NAME, or empty" },
  standaloneTasks: { list: false, values: ["", "skip", "wait", "stop"] },
  bridgePolicy: { list: false, values: ["", "own-host", "cluster"] },
  instanceScope: { list: false, pattern: "^[A-Za-z0-9+=.,_:@/-]{0,256}$", says: "must be a tag value of letters, digits and + - = . , _ : @ /" },
  scheduleExpression: { list: false, pattern: "^(cron|rate|at)\\([A-Za-z0-9 ,*?/#:-]{1,120}\\)$", says: "must be cron(...), rate(...) or at(...)" },
  scheduleTimezone: { list: false, pattern: "^[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,2}$", says: "must be an IANA time zone such as Europe/Berlin" },
  scheduleState: { list: false, values: ["ENABLED", "DISABLED"] },
  flexibleWindowMinutes: { list: false, min: 0, max: 1440 },
  startRetries: { list: false, min: 0, max: 185 },
  startDeadlineSeconds: { list: false, min: 60, max: 86400 },
  maxDuration: { list: false, pattern: "^(none|[1-9][0-9]{0,6}[smhd])?$", says: "must be none, a time such as 4h, or empty" },
  windows: { list: false, pattern: "^[A-Za-z0-9 ,:;/_+-]*$", says: "must be windows, none, or empty" },
  drainTimeout: { list: false, pattern: "^([1-9][0-9]{0,6}[smhd])?$", says: "must be a time such as 20m, or empty" },
  image: { list: false, pattern: "^[a-z0-9][A-Za-z0-9._:/@-]{1,511}$", says: "must be an image reference" },
  imageRepositoryArn: { list: false, pattern: "^(arn:aws[a-z-]*:ecr:[a-z0-9-]+:[0-9]{12}:repository/[a-z0-9._/-]+)?$", says: "must be the ARN of an ECR repository, or empty" },
  cpuArchitecture: { list: false, values: ["X86_64", "ARM64"] },
  taskCluster: { list: false, pattern: "^([a-zA-Z0-9][a-zA-Z0-9_-]{0,254})?$", says: "must be a cluster name, or empty" },
  vpcId: { list: false, pattern: "^(vpc-[0-9a-f]{8,17})?$", says: "must be the ID of a VPC, or empty" },
  subnetIds: { list: true },
  assignPublicIp: { list: false, values: ["ENABLED", "DISABLED"] },
  logLevel: { list: false, values: ["error", "warn", "info", "debug", "trace"] },
  logRetentionDays: { list: false, values: ["1", "3", "5", "7", "14", "30", "60", "90", "120", "150", "180", "365", "400", "545", "731", "1096", "1827", "2192", "2557", "2922", "3288", "3653"] },
  kmsKeyArn: { list: false, pattern: "^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?$", says: "must be the ARN of a KMS key (no alias), or empty" },
  noSuccessDays: { list: false, min: 0, max: 7 },
  noProgressDays: { list: false, min: 7, max: 3650 },
  notificationTopicArn: { list: false, pattern: "^(arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256})?$", says: "must be the ARN of an SNS topic, or empty" },
  notificationEmail: { list: false, pattern: "^([^@\\s]{1,64}@[^@\\s]{1,190})?$", says: "must be an e-mail address, or empty" },
  documentPrefix: { list: false, pattern: "^(?![Aa][Mm][Aa][Zz][Oo][Nn]|[Aa][Mm][Zz][Nn]|[Aa][Ww][Ss])[a-zA-Z][a-zA-Z0-9_.-]{2,30}$", says: "must be letters, digits and _ . -, and begin with a letter, not with aws, amazon or amzn" },
  fleetRoleArn: { list: false, pattern: "^(arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512})?$", says: "must be the ARN of an IAM role, or empty" },
};

export const OUTPUTS: readonly (keyof EcsUpdaterOutputs)[] = [
  "runNow",
  "planNow",
  "doctorNow",
  "followLogs",
  "readLogs",
  "taskClusterName",
  "logGroupName",
  "leaseTableName",
  "eventLogGroupName",
  "deadLetterQueueUrl",
  "taskDefinitionArn",
  "planTaskDefinitionArn",
  "taskRoleArn",
  "planPolicyArn",
  "updatePolicyArn",
];
