"""Upload a green_tripdata.csv: `python -m local.upload BUCKET`.

It uses the endpoint of AWS_ENDPOINT_URL, or AWS.
"""

import argparse

import boto3

from local.trips import green_trips

KEY = "input/lab2/eventdriven/green_tripdata.csv"


def main() -> None:
    """Upload the file."""
    parser = argparse.ArgumentParser(prog="local.upload", description="Upload 1,000 made-up taxi trips.")
    parser.add_argument("bucket", help="the stack's output SourceBucketName")
    parser.add_argument("--key", default=KEY, help="%(default)s by default")
    arguments = parser.parse_args()
    body = green_trips(1_000, seed=1).encode()
    version = boto3.client("s3").put_object(Bucket=arguments.bucket, Key=arguments.key, Body=body).get("VersionId")
    print(f"s3://{arguments.bucket}/{arguments.key} is there ({len(body):,} bytes, version {version}).")


if __name__ == "__main__":
    main()
