# The stack of ecs-updater.yaml, by its one-line form.

variable "name" {
  description = "Name of the CloudFormation stack, of its task definitions and of its log group."
  type        = string
  default     = "ecs-updater"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,127}$", var.name))
    error_message = "name must be letters, digits and -, beginning with a letter."
  }
}

variable "tags" {
  description = "Tags of the stack, which CloudFormation puts on its resources."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "template_bucket" {
  description = "Name of an S3 bucket that the template is handed over in. Empty hands it over directly, which CloudFormation takes up to 51,200 bytes of."
  type        = string
  default     = ""
  nullable    = false
}

locals {
  template = "${path.module}/../ecs-updater.json"
}

resource "aws_s3_object" "template" {
  count = var.template_bucket == "" ? 0 : 1

  bucket = var.template_bucket
  # Another template is another object, which the stack is updated by.
  key          = "${var.name}/${filesha256(local.template)}.json"
  source       = local.template
  content_type = "application/json"
}

resource "aws_cloudformation_stack" "this" {
  name          = var.name
  capabilities  = ["CAPABILITY_NAMED_IAM"]
  parameters    = local.parameters
  tags          = var.tags
  template_body = var.template_bucket == "" ? file(local.template) : null
  template_url  = var.template_bucket == "" ? null : "https://${data.aws_s3_bucket.template[0].bucket_regional_domain_name}/${aws_s3_object.template[0].key}"

  lifecycle {
    precondition {
      condition     = var.template_bucket != "" || length(file(local.template)) <= 51200
      error_message = "The template is longer than the 51,200 bytes that CloudFormation takes directly: name an S3 bucket in template_bucket."
    }
  }
}

data "aws_s3_bucket" "template" {
  count = var.template_bucket == "" ? 0 : 1

  bucket = var.template_bucket
}
