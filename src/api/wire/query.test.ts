import { strict as assert } from "node:assert";
import { test } from "node:test";
import * as ec2 from "@aws-sdk/client-ec2";
import { Ec2Error } from "../ec2-error.ts";
import { membersOf } from "./query-answer.ts";
import { parseForm } from "./query-form.ts";

type Schema = Parameters<typeof membersOf>[0];
const schemaOf = (name: string) => (ec2 as unknown as Record<string, Schema>)[name] as Schema;
const parse = (name: string, text: string) => parseForm(schemaOf(`${name}$`), new URLSearchParams(text));

test("a form becomes what the SDK had: lists, structures in them, numbers, times", () => {
  assert.deepEqual(
    parse(
      "DescribeSnapshotsRequest",
      "Action=x&SnapshotId.1=a&SnapshotId.2=b&SnapshotId.4=d&Filter.1.Name=n&Filter.1.Value.1=&Filter.2.Name=m" +
        "&MaxResults=5&DryRun=TRUE&Owner.1=self&RestorableBy.1=all&Unknown.1.Thing=x&SnapshotId.1=again",
    ),
    {
      SnapshotIds: ["a", "b"],
      Filters: [{ Name: "n", Values: [""] }, { Name: "m" }],
      MaxResults: 5,
      DryRun: true,
      OwnerIds: ["self"],
      RestorableByUserIds: ["all"],
    },
  );
  const { ExpirationDate } = parse("LockSnapshotRequest", "ExpirationDate=2027-01-02T03:04:05.678Z");
  assert.deepEqual(ExpirationDate, new Date("2027-01-02T03:04:05.678Z"));
  assert.deepEqual(parse("DescribeSnapshotsRequest", ""), {});
});

test("what is no value of its type is refused, and so is a form without end", () => {
  const bad = (name: string, text: string) =>
    assert.throws(
      () => parse(name, text),
      (error) => error instanceof Ec2Error && error.httpStatus === 400,
    );
  bad("DescribeSnapshotsRequest", "MaxResults=many");
  bad("DescribeSnapshotsRequest", "DryRun=perhaps");
  bad("DescribeSnapshotsRequest", "Filter.1=x");
  bad("DescribeSnapshotsRequest", "SnapshotId.1.Name=x");
  bad("LockSnapshotRequest", "ExpirationDate=tomorrow");
  bad("DescribeSnapshotsRequest", Array.from({ length: 20_001 }, (_, i) => `x${i}=`).join("&"));
  const deep = `${"Filter.1.".repeat(50)}Name=x`;
  assert.deepEqual(parse("DescribeSnapshotsRequest", deep), {});
});

test("an answer has the elements of EC2, and nothing that XML can't hold", () => {
  const xml = membersOf(schemaOf("DescribeSnapshotsResult$"), {
    Snapshots: [
      {
        SnapshotId: "snap-1",
        Description: "a<b>&\"'\u0001\ud800\r\n\u{1F4BE}",
        Encrypted: false,
        VolumeSize: 0,
        StartTime: new Date(1_700_000_000_000),
        Tags: [{ Key: "k", Value: "" }],
        KmsKeyId: undefined,
      },
      {},
    ],
    NextToken: "t",
  });
  const item = (name: string, text: string) => `<${name}>${text}</${name}>`;
  for (const part of [
    item("snapshotId", "snap-1"),
    item("description", "a&#60;b&#62;&#38;&#34;&#39;\uFFFD\uFFFD&#13;&#10;\u{1F4BE}"),
    item("encrypted", "false"),
    item("volumeSize", "0"),
    item("startTime", "2023-11-14T22:13:20.000Z"),
    item("tagSet", item("item", item("key", "k") + item("value", ""))),
    item("item", ""),
    item("nextToken", "t"),
  ])
    assert(xml.includes(part), `${part} is not in ${xml}`);
  assert(!xml.includes("kmsKeyId"));
});
