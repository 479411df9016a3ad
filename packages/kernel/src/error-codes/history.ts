import type { ErrorEntry } from "../errors.ts";

/** Errors of the embedded history of figures. */
export const historyErrors = {
  "TM-HISTORY-DISK-FULL": {
    meaning: "The history of figures could not be written: its disk, or the room that it may take, is full.",
    normal: false,
    retry: "later",
    hint: "Free space on the disk of the state folder. Measuring and alerts go on; the last minutes are kept in memory and written once there is room, what is older becomes a gap.",
  },
  "TM-HISTORY-AWAY": {
    meaning: "The file of the history could not be opened, read or written.",
    normal: false,
    retry: "later",
    hint: "Look at the disk of the state folder, and whether another control process uses it. Measuring and alerts go on; what is not written is a gap in the history.",
    httpStatus: 503,
  },
  "TM-HISTORY-DAMAGED": {
    meaning: "The file of the history was damaged. It was put aside, and a new one was begun.",
    normal: false,
    retry: "later",
    hint: "Look at the disk that it lay on. The damaged file stays beside the new one, until the next one is put aside.",
  },
  "TM-HISTORY-VERSION": {
    meaning: "The file of the history is of a format version that this Tidemark does not know.",
    normal: false,
    retry: "never",
    hint: "Start the version of Tidemark that wrote it, or put the file aside: a new history begins then.",
  },
  "TM-HISTORY-RANGE": {
    meaning: "A range of the history was asked for that makes no sense or is too wide.",
    normal: true,
    retry: "never",
    hint: "Ask for a beginning before an end, in milliseconds of wall time or ISO 8601, and for at most 10,000 points.",
    httpStatus: 422,
  },
  "TM-HISTORY-NO-SERIES": {
    meaning: "There is no series of that metric with those labels in the history.",
    normal: true,
    retry: "never",
    hint: "List the series; a figure that was never looked at has none.",
    httpStatus: 404,
  },
  "TM-EXPOSURE-NO-SERVICE": {
    meaning: "There is no service of that name in the configuration.",
    normal: true,
    retry: "never",
    hint: "List the exposure of all services to see their names.",
    httpStatus: 404,
  },
} satisfies Record<string, ErrorEntry>;
