# Made by generate.py from ecs-updater.yaml: its outputs.

output "run_now" {
  description = "Starts a run by hand"
  value       = aws_cloudformation_stack.this.outputs["RunNow"]
}

output "plan_now" {
  description = "Starts a dry run by hand, which changes nothing and is permitted nothing else"
  value       = aws_cloudformation_stack.this.outputs["PlanNow"]
}

output "doctor_now" {
  description = "Checks the prerequisites by hand, host by host, with the role of a dry run"
  value       = aws_cloudformation_stack.this.outputs["DoctorNow"]
}

output "follow_logs" {
  description = "Follows the log of the runs. Needs version 2 of the AWS CLI"
  value       = aws_cloudformation_stack.this.outputs["FollowLogs"]
}

output "read_logs" {
  description = "Shows the log of the runs, with either version of the AWS CLI"
  value       = aws_cloudformation_stack.this.outputs["ReadLogs"]
}

output "task_cluster_name" {
  description = "Cluster in which the updater's task runs"
  value       = aws_cloudformation_stack.this.outputs["TaskClusterName"]
}

output "log_group_name" {
  description = "Log group of the runs"
  value       = aws_cloudformation_stack.this.outputs["LogGroupName"]
}

output "lease_table_name" {
  description = "Table with the leases; runs from elsewhere use it with --lease-table"
  value       = aws_cloudformation_stack.this.outputs["LeaseTableName"]
}

output "event_log_group_name" {
  description = "Log group that says how each run's task ended"
  value       = aws_cloudformation_stack.this.outputs["EventLogGroupName"]
}

output "dead_letter_queue_url" {
  description = "Queue of the starts that were given up"
  value       = aws_cloudformation_stack.this.outputs["DeadLetterQueueUrl"]
}

output "task_definition_arn" {
  description = "Task definition of a run"
  value       = aws_cloudformation_stack.this.outputs["TaskDefinitionArn"]
}

output "plan_task_definition_arn" {
  description = "Task definition of a dry run"
  value       = aws_cloudformation_stack.this.outputs["PlanTaskDefinitionArn"]
}

output "task_role_arn" {
  description = "Role of the updater"
  value       = aws_cloudformation_stack.this.outputs["TaskRoleArn"]
}

output "plan_policy_arn" {
  description = "Policy that suffices for ecs-updater plan; attach it to the people and roles that plan from elsewhere"
  value       = aws_cloudformation_stack.this.outputs["PlanPolicyArn"]
}

output "update_policy_arn" {
  description = "Policy that ecs-updater run needs beyond the plan policy"
  value       = aws_cloudformation_stack.this.outputs["UpdatePolicyArn"]
}
