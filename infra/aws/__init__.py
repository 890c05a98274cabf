"""What a stage stands on in AWS, as CloudFormation: buckets, network, database, alarms; and what makes it."""
