"""The CloudFormation templates of a stage (buckets, network, database, alarms), and the code that applies them."""
