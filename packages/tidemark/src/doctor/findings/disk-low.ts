import { sayBytes } from "../../check/seen-words.ts";
import type { FolderSpace, SurveyedFolder } from "../configuration-survey.ts";
import type { DoctorRule } from "../doctor-rule.ts";

/** PostgreSQL panics when pg_wal is full, a journal stops accepting, a vault stops confirming. */
export const diskLow: DoctorRule = {
  name: "disk-low",
  code: "TM-FINDING-DISK-LOW",
  severity: "warning",
  title: "A disk that must not run full is nearly full",
  judge({ folders }, { freeShare, criticalFreeShare }) {
    const seen = folders.flatMap((folder) => (folder.space.known ? [{ folder, space: folder.space.value }] : []));
    return [...Map.groupBy(seen, ({ space }) => space.fileSystem).values()].flatMap((shared) => {
      const [first] = shared;
      if (first === undefined) return [];
      const share = first.space.totalBytes > 0 ? first.space.freeBytes / first.space.totalBytes : 0;
      const stopping = shared.filter(({ folder, space }) => stops(folder, space));
      if (share >= freeShare && stopping.length === 0) return [];
      return [
        {
          subject: shared.map(({ folder }) => folder.what).join(", "),
          ...(share < criticalFreeShare || stopping.length > 0 ? { severity: "critical" as const } : {}),
          evidence: [
            `${sayBytes(first.space.freeBytes)} of ${sayBytes(first.space.totalBytes)} are free (${(share * 100).toFixed(1)} %)`,
            ...shared.map(({ folder }) => `${folder.what}: ${folder.path}`),
            ...stopping.map(({ folder }) => `${folder.what} stops below ${sayBytes(folder.neededBytes ?? 0)}`),
          ],
          fix: [
            "make room: other files on the same disk, replication slots that keep WAL (tidemark check), a shorter journal.healing.window",
            "or give these folders a disk of their own",
          ],
        },
      ];
    });
  },
};

function stops({ neededBytes }: SurveyedFolder, { freeBytes }: FolderSpace): boolean {
  return neededBytes !== undefined && freeBytes < neededBytes;
}
