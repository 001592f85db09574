# A cluster of Bottlerocket instances behind a capacity provider, and the updater beside it. The network is given.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "vpc_id" {
  description = "VPC of the instances and of the updater's task."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets with a way to AWS, in two or more Availability Zones."
  type        = list(string)
}

variable "image" {
  description = "Image of ecs-updater, such as the output Image of an image.yaml stack."
  type        = string
}

variable "image_repository_arn" {
  description = "Its repository in Amazon ECR; empty for a public image."
  type        = string
  default     = ""
}

resource "aws_ecs_cluster" "web" {
  name = "web"
}

resource "aws_iam_role" "instance" {
  name_prefix = "web-"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "ec2.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy_attachment" "instance" {
  for_each = toset(["service-role/AmazonEC2ContainerServiceforEC2Role", "AmazonSSMManagedInstanceCore"])

  role       = aws_iam_role.instance.name
  policy_arn = "arn:aws:iam::aws:policy/${each.value}"
}

resource "aws_iam_instance_profile" "instance" {
  name_prefix = "web-"
  role        = aws_iam_role.instance.name
}

resource "aws_security_group" "instance" {
  name_prefix = "web-"
  description = "Instances of web, which nobody can connect to"
  vpc_id      = var.vpc_id

  egress {
    description = "AWS APIs, image registries and the update repository"
    protocol    = "tcp"
    from_port   = 443
    to_port     = 443
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_launch_template" "web" {
  name_prefix            = "web-"
  image_id               = "resolve:ssm:/aws/service/bottlerocket/aws-ecs-3/x86_64/latest/image_id"
  instance_type          = "m7i.large"
  vpc_security_group_ids = [aws_security_group.instance.id]
  user_data              = base64encode("[settings.ecs]\ncluster = \"${aws_ecs_cluster.web.name}\"\n")

  iam_instance_profile {
    arn = aws_iam_instance_profile.instance.arn
  }

  metadata_options {
    http_tokens = "required"
  }
}

resource "aws_autoscaling_group" "web" {
  name_prefix         = "web-"
  min_size            = 3
  max_size            = 12
  vpc_zone_identifier = var.subnet_ids

  launch_template {
    id      = aws_launch_template.web.id
    version = aws_launch_template.web.latest_version
  }

  tag {
    key                 = "AmazonECSManaged"
    value               = "true"
    propagate_at_launch = true
  }

  lifecycle {
    # The capacity provider scales it.
    ignore_changes = [desired_capacity]
  }
}

resource "aws_ecs_capacity_provider" "web" {
  name = "web"

  auto_scaling_group_provider {
    auto_scaling_group_arn = aws_autoscaling_group.web.arn

    managed_scaling {
      status          = "ENABLED"
      target_capacity = 90
    }
  }
}

resource "aws_ecs_cluster_capacity_providers" "web" {
  cluster_name       = aws_ecs_cluster.web.name
  capacity_providers = [aws_ecs_capacity_provider.web.name]

  default_capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.web.name
    weight            = 1
  }
}

module "ecs_updater" {
  source = "../"

  cluster_names        = [aws_ecs_cluster.web.name]
  image                = var.image
  image_repository_arn = var.image_repository_arn
  vpc_id               = var.vpc_id
  subnet_ids           = var.subnet_ids
  max_duration         = "4h"
  # Run the command of plan_now, and then switch it on.
  schedule_state = "DISABLED"
}

output "plan_now" {
  description = "Starts a dry run by hand."
  value       = module.ecs_updater.plan_now
}
