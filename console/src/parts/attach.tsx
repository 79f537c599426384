import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Tabs from "@cloudscape-design/components/tabs";
import type { ReactNode } from "react";
import type { Volume } from "../api/queries.ts";
import { Command } from "./command.tsx";

interface Step {
  readonly text: string;
  readonly commands: readonly string[];
}

const LOOPBACK = /^(127\.|localhost$|::1$)/;

function stepsOf(system: string, { iqn, host, port, chap }: Volume): Step[] {
  const portal = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const chapLinux = [
    `sudo iscsiadm -m node -T ${iqn} -p ${portal} -o update -n node.session.auth.authmethod -v CHAP`,
    `sudo iscsiadm -m node -T ${iqn} -p ${portal} -o update -n node.session.auth.username -v INITIATOR_NAME`,
    `sudo iscsiadm -m node -T ${iqn} -p ${portal} -o update -n node.session.auth.password -v SECRET`,
  ];
  switch (system) {
    case "linux":
      return [
        {
          text: "Install the initiator, once per server (Debian, Ubuntu; on others the package is iscsi-initiator-utils):",
          commands: ["sudo apt-get install open-iscsi"],
        },
        {
          text: "Find the volumes of this gateway:",
          commands: [`sudo iscsiadm -m discovery -t sendtargets -p ${portal}`],
        },
        ...(chap ? [{ text: "Give the CHAP name and secret:", commands: chapLinux }] : []),
        {
          text: "Attach the volume, now and at every start of the server:",
          commands: [
            `sudo iscsiadm -m node -T ${iqn} -p ${portal} --login`,
            `sudo iscsiadm -m node -T ${iqn} -p ${portal} -o update -n node.startup -v automatic`,
          ],
        },
        {
          text: "It is there by this name; a new volume needs a file system first:",
          commands: [
            `ls -l /dev/disk/by-path/ip-${portal}-iscsi-${iqn}-lun-0`,
            `sudo mkfs.ext4 /dev/disk/by-path/ip-${portal}-iscsi-${iqn}-lun-0`,
            `echo "/dev/disk/by-path/ip-${portal}-iscsi-${iqn}-lun-0 /mnt/volume ext4 _netdev,nofail 0 2" | sudo tee -a /etc/fstab`,
          ],
        },
        { text: "To detach it:", commands: [`sudo iscsiadm -m node -T ${iqn} -p ${portal} --logout`] },
      ];
    case "windows":
      return [
        {
          text: "In PowerShell as administrator; the initiator is part of Windows:",
          commands: ["Set-Service -Name MSiSCSI -StartupType Automatic; Start-Service MSiSCSI"],
        },
        {
          text: "Attach the volume, now and at every start:",
          commands: [
            `New-IscsiTargetPortal -TargetPortalAddress ${host} -TargetPortalPortNumber ${port}`,
            chap
              ? `Connect-IscsiTarget -NodeAddress ${iqn} -IsPersistent $true -AuthenticationType ONEWAYCHAP -ChapUsername INITIATOR_NAME -ChapSecret SECRET`
              : `Connect-IscsiTarget -NodeAddress ${iqn} -IsPersistent $true`,
          ],
        },
        {
          text: "A new volume is brought online and formatted:",
          commands: [
            "Get-Disk | Where-Object BusType -eq 'iSCSI' | Initialize-Disk -PartitionStyle GPT -PassThru | New-Partition -AssignDriveLetter -UseMaximumSize | Format-Volume -FileSystem NTFS",
          ],
        },
        {
          text: "To detach it:",
          commands: [`Disconnect-IscsiTarget -NodeAddress ${iqn} -Confirm:$false`],
        },
      ];
    case "vmware":
      return [
        {
          text: "On the ESXi host, switch the software initiator on:",
          commands: ["esxcli iscsi software set --enabled=true"],
        },
        {
          text: "Name its adapter (vmhba64 here; the first command shows yours) and find the volume:",
          commands: [
            "esxcli iscsi adapter list",
            `esxcli iscsi adapter discovery sendtarget add --adapter=vmhba64 --address=${portal}`,
            ...(chap
              ? [
                  `esxcli iscsi adapter target portal auth chap set --adapter=vmhba64 --address=${portal} --name=${iqn} --direction=uni --level=required --authname=INITIATOR_NAME --secret=SECRET`,
                ]
              : []),
            "esxcli storage core adapter rescan --adapter=vmhba64",
          ],
        },
        {
          text: "It is there as a device; make a datastore on it in the vSphere client, or hand it to a machine as a raw device mapping:",
          commands: ["esxcli storage core device list"],
        },
      ];
    default:
      return [
        {
          text: "Proxmox VE: as a storage on which machines keep their disks by LVM, or directly:",
          commands: [
            `pvesm add iscsi NAME --portal ${portal} --target ${iqn} --content images`,
            "pvesm list NAME",
          ],
        },
      ];
  }
}

const SYSTEMS = [
  { id: "linux", label: "Linux" },
  { id: "windows", label: "Windows" },
  { id: "vmware", label: "VMware ESXi" },
  { id: "proxmox", label: "Proxmox VE" },
];

/** The commands that attach a volume to a server, with this volume's own names filled in. */
export function Attach({ volume }: { volume: Volume }): ReactNode {
  return (
    <SpaceBetween size="m">
      {LOOPBACK.test(volume.host) && (
        <Alert type="info" header="Only this machine reaches the volumes now">
          The gateway listens for iSCSI on {volume.host}. Start it with{" "}
          <Box variant="code">--iscsi 0.0.0.0:3260</Box> (or an address of this machine) so that other servers
          can attach volumes.
        </Alert>
      )}
      <Tabs
        ariaLabel="Systems"
        tabs={SYSTEMS.map(({ id, label }) => ({
          id,
          label,
          content: (
            <SpaceBetween size="m">
              {stepsOf(id, volume).map(({ text, commands }) => (
                <div key={text}>
                  <Box padding={{ bottom: "xxs" }}>{text}</Box>
                  {commands.map((command) => (
                    <Command key={command} text={command} />
                  ))}
                </div>
              ))}
            </SpaceBetween>
          ),
        }))}
      />
    </SpaceBetween>
  );
}
