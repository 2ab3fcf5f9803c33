// Made from edge_api/openapi.yaml by supabase/functions/generate.ts: change that, not this.
// deno-fmt-ignore-file
export interface paths {
    "/api/v1/gen": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Ask for music.
         * @description Makes a job and answers at once; the music is made by a worker.
         */
        post: operations["gen"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/job/{job_id}": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description What `POST /api/v1/gen` answered.
                 * @example 5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10
                 */
                job_id: components["parameters"]["JobId"];
            };
            cookie?: never;
        };
        /**
         * See a job.
         * @description Results appear one by one while the job is processing.
         */
        get: operations["job"];
        put?: never;
        post?: never;
        /**
         * Cancel a job, also while it is running.
         * @description A pending job is cancelled at once. A running one stops soon after, and its status follows then. A job that has
         *     ended stays as it is.
         */
        delete: operations["cancel"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/job/{job_id}/again": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description What `POST /api/v1/gen` answered.
                 * @example 5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10
                 */
                job_id: components["parameters"]["JobId"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Ask for another take.
         * @description Makes a new job for the same video that plays the directions of the old one's plan (as far as there is one),
         *     all or with `variant` one of them, with a new seed or the given one.
         */
        post: operations["again"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/job/{job_id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description What `POST /api/v1/gen` answered.
                 * @example 5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10
                 */
                job_id: components["parameters"]["JobId"];
            };
            cookie?: never;
        };
        /**
         * Follow a job by server-sent events.
         * @description Event `result` carries a result and its `job_id`, event `job` the members `job_id`, `status`, `stage`,
         *     `completed_count`, `total_count`, `error` and `error_code`: what Realtime sends on topic `job:<job_id>`.
         *     A stream begins with everything that is there already and ends with the job.
         */
        get: operations["events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/merge": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Put music under a video.
         * @description Waits for the merged video for about 50 seconds; when that is not enough, or at once with
         *     `Prefer: respond-async`, answers 202 with the job to watch, whose one result is `{"index": 0, "video_url": ...}`.
         */
        post: operations["merge"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/upload": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Get an address to upload a video to.
         * @description Send the file's bytes to `upload_url` with `method` and `headers`; then `video_url` is its public address for
         *     `POST /api/v1/gen`. Uploads that no job uses are removed after a day.
         */
        post: operations["upload"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/ping": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Is the API there? */
        get: operations["ping"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/healthz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Is the database there, and are workers alive? */
        get: operations["healthz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This description. */
        get: operations["openapi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        Gen: {
            video_url: components["schemas"]["Address"];
            /**
             * @description What the music should be like, in any language. The director reads the first 500 characters.
             * @default
             */
            user_request?: string | null;
            /** @description How many tracks; 3 when left out. With `plan`, its length counts. */
            variants?: number | null;
            /** @description The same seed makes the same music; every track derives its own. Random when left out. */
            seed?: number | null;
            /** @description Only the first seconds of the video. */
            duration?: number | null;
            /** @description What should not be heard. */
            negative_prompt?: string | null;
            /**
             * @description What the generator follows; `full`, which includes the timing of the picture, when left out.
             * @enum {unknown}
             */
            conditioning?: "full" | "text+clip" | "text" | null;
            /**
             * @description The file format of the tracks; `flac` when left out.
             * @enum {unknown}
             */
            format?: "flac" | "wav" | "mp3" | "m4a" | null;
            /** @description Hand-written directions, one for each track, instead of the director's. */
            plan?: components["schemas"]["Direction"][] | null;
            /** @description Gets a signed POST with the job's answer when it has ended. */
            callback_url?: components["schemas"]["Address"] | null;
        };
        Direction: {
            /** @description The caption for the generator, in English; it hears about the first 77 tokens. */
            prompt: string;
            title?: string | null;
            description?: string | null;
            genre?: string | null;
            instruments?: string[] | null;
            tempo_bpm?: number | null;
            /**
             * @description A tonic and a mode, such as "D minor" or "F# major".
             * @example D minor
             */
            key?: string | null;
            mood?: string | null;
        };
        Merge: {
            video_url: components["schemas"]["Address"];
            audio_url: components["schemas"]["Address"];
            /**
             * @description Instead of the sound of the video, or together with it; `replace` when left out.
             * @enum {unknown}
             */
            mode?: "replace" | "mix" | null;
            music_gain_db?: number | null;
            /** @description With `mix`, lower the music while the video sounds. */
            duck?: boolean | null;
            /** @description Gets a signed POST with the job's answer when it has ended. */
            callback_url?: components["schemas"]["Address"] | null;
        };
        Again: {
            seed?: number | null;
            /** @description The `index` of one result; all directions when left out. */
            variant?: number | null;
        };
        Upload: {
            filename: string;
            /** @enum {unknown} */
            content_type: "video/mp4" | "video/quicktime" | "video/webm" | "video/x-matroska" | "video/x-msvideo" | "video/mp2t" | "video/x-flv" | "video/ogg";
            /** @description Bytes; more than 536870912 (512 MB) is 413. */
            size: number;
        };
        /**
         * @description An http or https address with a host and without a user name.
         * @example https://example.com/holiday.mp4
         */
        Address: string;
        Made: {
            /** Format: uuid */
            job_id: string;
        };
        Merged: {
            video_url: string;
        };
        Signed: {
            upload_url: string;
            /** @constant */
            method: "PUT";
            headers: {
                [key: string]: string;
            };
            video_url: string;
            /** Format: date-time */
            expires_at: string;
        };
        Health: {
            /** @constant */
            status: "ok";
            /** @constant */
            database: "ok";
            /** @description Workers that beat. */
            workers: number;
            /** @description Those among them that take jobs. */
            workers_ready: number;
        };
        Job: {
            /** Format: uuid */
            job_id: string;
            /** @enum {unknown} */
            status: "pending" | "processing" | "completed" | "failed" | "cancelled";
            completed_count: number;
            /** @description A completed job may have fewer results, when some variants failed for good. */
            total_count: number;
            results: (components["schemas"]["Track"] | components["schemas"]["Video"])[];
            /** @description Why a failed job failed */
            error: string | null;
            error_code: string | null;
            /** @enum {unknown} */
            kind: "generate" | "merge";
            /** @enum {unknown} */
            stage: "fetching" | "describing" | "composing" | "merging" | null;
            video_url: string;
            user_request: string;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            started_at: string | null;
            /** Format: date-time */
            finished_at: string | null;
            /** @description The place of a pending job, 1 is next; counted up to 1000. */
            queue_position: number | null;
        };
        /** @description A result of a job of kind `generate`. */
        Track: {
            prompt: string;
            audio_url: string;
            index: number;
            title: string;
            description: string;
            seed: number | null;
            /** @description Seconds. */
            duration: number | null;
            bpm: number | null;
            key: string | null;
            /** @description What made it: mmaudio, or sketch, the small procedural composer. */
            engine: string;
            model: string;
            /** @description Who wrote the direction: a model, local rules, or the user. */
            describer: string;
            /** @description The wave form, absolute peaks 0 to 1. */
            peaks: number[] | null;
            /** Format: date-time */
            created_at: string;
        };
        /** @description The result of a job of kind `merge`. */
        Video: {
            /** @constant */
            index: 0;
            video_url: string;
        };
        /**
         * @description One event of the stream.
         * @example {
         *       "event": "job",
         *       "data": "{\"job_id\": \"5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10\", \"status\": \"processing\", \"stage\": \"composing\", \"completed_count\": 0, \"total_count\": 3, \"error\": null, \"error_code\": null}"
         *     }
         */
        Event: {
            /** @enum {unknown} */
            event: "job" | "result";
            data: string;
            /**
             * @description Marks the last event.
             * @constant
             */
            id?: "end";
        };
        /** @description RFC 9457. */
        Problem: {
            /** @constant */
            type: "about:blank";
            title: string;
            status: number;
            /** @description What was wrong and what to do. */
            detail: string;
            /**
             * @description Stable; programs decide by it.
             * @enum {unknown}
             */
            code: "auth_unavailable" | "bad_request" | "database_unavailable" | "expectation_failed" | "idempotency_mismatch" | "internal" | "invalid_json" | "invalid_request" | "merge_cancelled" | "merge_failed" | "merge_unavailable" | "method_not_allowed" | "not_found" | "payload_too_large" | "request_timeout" | "storage_unavailable" | "too_many_jobs" | "too_many_streams" | "unauthorized" | "unknown_field" | "unsupported_media_type";
            /** @description The fields that were wrong, at most ten. */
            errors?: {
                field: string;
                message: string;
            }[];
            /**
             * Format: uuid
             * @description The merge that failed.
             */
            job_id?: string;
            /** @description Why the merge failed */
            error_code?: string;
        };
    };
    responses: {
        /** @description The job was made. */
        Made: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "job_id": "5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10"
                 *     }
                 */
                "application/json": components["schemas"]["Made"];
            };
        };
        /** @description The job as it is now. */
        Job: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["Job"];
            };
        };
        /** @description Code `invalid_json` or `bad_request`: the body is not JSON, or not what its headers say. */
        BadRequest: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "about:blank",
                 *       "title": "Invalid JSON",
                 *       "status": 400,
                 *       "detail": "The body is not JSON we can read: send one object, in UTF-8",
                 *       "code": "invalid_json"
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Code `unauthorized`: the access token is invalid or has expired, or this server wants one. */
        Unauthorized: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "WWW-Authenticate": "Bearer";
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "about:blank",
                 *       "title": "Unauthorized",
                 *       "status": 401,
                 *       "detail": "The access token has expired; refresh the session and try again",
                 *       "code": "unauthorized"
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Code `not_found`: no such job, or one of somebody else; which of the two is not told. */
        NotFound: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "about:blank",
                 *       "title": "Not found",
                 *       "status": 404,
                 *       "detail": "There is no job with this id, or it belongs to somebody who must sign in to see it",
                 *       "code": "not_found"
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Code `request_timeout`: the body did not arrive in time. */
        RequestTimeout: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "about:blank",
                 *       "title": "Request timeout",
                 *       "status": 408,
                 *       "detail": "The body did not arrive within 15 s; send it again",
                 *       "code": "request_timeout"
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Code `payload_too_large`: the body is over 256 kB, or the video to upload over 512 MB. */
        PayloadTooLarge: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "about:blank",
                 *       "title": "Payload too large",
                 *       "status": 413,
                 *       "detail": "The body is too large; a request is at most 256 kB of JSON, videos go to /api/v1/upload",
                 *       "code": "payload_too_large"
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Code `unsupported_media_type`: the body is not declared as JSON. */
        UnsupportedMediaType: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "about:blank",
                 *       "title": "Unsupported media type",
                 *       "status": 415,
                 *       "detail": "The body must be JSON; send it with Content-Type: application/json",
                 *       "code": "unsupported_media_type"
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description Code `invalid_request` (a value is wrong), `unknown_field`, `idempotency_mismatch`, or from a merge `merge_failed`
         *     (it cannot work with these files).
         */
        Invalid: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Code `too_many_jobs`: too many jobs of this user or client address wait already. */
        TooManyJobs: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "Retry-After": components["headers"]["RetryAfter"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "about:blank",
                 *       "title": "Too many jobs",
                 *       "status": 429,
                 *       "detail": "10 jobs of yours wait already, which is the limit; try again when some have run",
                 *       "code": "too_many_jobs"
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description Code `internal`: something broke on our side. */
        Internal: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "about:blank",
                 *       "title": "Internal",
                 *       "status": 500,
                 *       "detail": "Something went wrong on our side; try again, and report the X-Request-Id if it stays",
                 *       "code": "internal"
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description Code `database_unavailable`, `storage_unavailable`, `auth_unavailable` or `too_many_streams`: something this
         *     server needs is away for a moment.
         */
        Unavailable: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "Retry-After": components["headers"]["RetryAfter"];
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "about:blank",
                 *       "title": "Database unavailable",
                 *       "status": 503,
                 *       "detail": "The database cannot be reached; try again in a few seconds",
                 *       "code": "database_unavailable"
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
    };
    parameters: {
        /**
         * @description What `POST /api/v1/gen` answered.
         * @example 5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10
         */
        JobId: string;
        /**
         * @description The same request with the same key again answers with the first job instead of making another. The same key with
         *     another body is 422 `idempotency_mismatch`. A signed-in user takes any key; a visitor's has at least 16 characters,
         *     so that nobody can guess it, and a shorter one is 422 `invalid_request`.
         */
        IdempotencyKey: string;
    };
    requestBodies: never;
    headers: {
        /** @description The id under which the logs know this request. */
        RequestId: string;
        /** @description Seconds to wait before trying again. */
        RetryAfter: string;
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    gen: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description The same request with the same key again answers with the first job instead of making another. The same key with
                 *     another body is 422 `idempotency_mismatch`. A signed-in user takes any key; a visitor's has at least 16 characters,
                 *     so that nobody can guess it, and a shorter one is 422 `invalid_request`.
                 */
                "Idempotency-Key"?: components["parameters"]["IdempotencyKey"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Gen"];
            };
        };
        responses: {
            200: components["responses"]["Made"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Invalid"];
            429: components["responses"]["TooManyJobs"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    job: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description What `POST /api/v1/gen` answered.
                 * @example 5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10
                 */
                job_id: components["parameters"]["JobId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Job"];
            401: components["responses"]["Unauthorized"];
            404: components["responses"]["NotFound"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    cancel: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description What `POST /api/v1/gen` answered.
                 * @example 5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10
                 */
                job_id: components["parameters"]["JobId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: components["responses"]["Job"];
            401: components["responses"]["Unauthorized"];
            404: components["responses"]["NotFound"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    again: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description The same request with the same key again answers with the first job instead of making another. The same key with
                 *     another body is 422 `idempotency_mismatch`. A signed-in user takes any key; a visitor's has at least 16 characters,
                 *     so that nobody can guess it, and a shorter one is 422 `invalid_request`.
                 */
                "Idempotency-Key"?: components["parameters"]["IdempotencyKey"];
            };
            path: {
                /**
                 * @description What `POST /api/v1/gen` answered.
                 * @example 5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10
                 */
                job_id: components["parameters"]["JobId"];
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["Again"];
            };
        };
        responses: {
            200: components["responses"]["Made"];
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Invalid"];
            429: components["responses"]["TooManyJobs"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    events: {
        parameters: {
            query?: never;
            header?: {
                /** @description Sent by an EventSource that comes back; after the end of the job the answer is 204, which stops it. */
                "Last-Event-ID"?: string;
            };
            path: {
                /**
                 * @description What `POST /api/v1/gen` answered.
                 * @example 5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10
                 */
                job_id: components["parameters"]["JobId"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The stream. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": components["schemas"]["Event"];
                };
            };
            /** @description The job has ended and the client has seen it. */
            204: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["Unauthorized"];
            404: components["responses"]["NotFound"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    merge: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description The same request with the same key again answers with the first job instead of making another. The same key with
                 *     another body is 422 `idempotency_mismatch`. A signed-in user takes any key; a visitor's has at least 16 characters,
                 *     so that nobody can guess it, and a shorter one is 422 `invalid_request`.
                 */
                "Idempotency-Key"?: components["parameters"]["IdempotencyKey"];
                /**
                 * @description `respond-async`: do not wait.
                 * @example respond-async
                 */
                Prefer?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Merge"];
            };
        };
        responses: {
            /** @description The merged video. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "video_url": "https://example.com/merged.mp4"
                     *     }
                     */
                    "application/json": components["schemas"]["Merged"];
                };
            };
            /** @description The merge goes on; watch its job. */
            202: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    /** @description The job's address. */
                    Location: string;
                    /** @description `respond-async`, when that was asked for. */
                    "Preference-Applied"?: string;
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "job_id": "5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10"
                     *     }
                     */
                    "application/json": components["schemas"]["Made"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            408: components["responses"]["RequestTimeout"];
            /** @description Code `merge_cancelled`: somebody cancelled the merge while this request waited for it. */
            409: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "type": "about:blank",
                     *       "title": "Merge cancelled",
                     *       "status": 409,
                     *       "detail": "The merge was cancelled while it ran; post it again if you want it",
                     *       "code": "merge_cancelled",
                     *       "job_id": "5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10"
                     *     }
                     */
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Invalid"];
            429: components["responses"]["TooManyJobs"];
            500: components["responses"]["Internal"];
            /** @description Code `merge_unavailable`: the merge failed for a reason outside the request; try again later. */
            502: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "type": "about:blank",
                     *       "title": "Merge unavailable",
                     *       "status": 502,
                     *       "detail": "The merge failed: https://example.com/holiday.mp4 answered 503; it is tried again later",
                     *       "code": "merge_unavailable",
                     *       "error_code": "upstream_error",
                     *       "job_id": "5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10"
                     *     }
                     */
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            503: components["responses"]["Unavailable"];
        };
    };
    upload: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Upload"];
            };
        };
        responses: {
            /** @description Where to put the video. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "upload_url": "https://example.supabase.co/storage/v1/object/upload/sign/uploads/9f86d081884c7d659a2feaa0c55ad015.mov?token=eyJ",
                     *       "method": "PUT",
                     *       "headers": {
                     *         "content-type": "video/quicktime",
                     *         "x-upsert": "false"
                     *       },
                     *       "video_url": "https://example.supabase.co/storage/v1/object/public/uploads/9f86d081884c7d659a2feaa0c55ad015.mov",
                     *       "expires_at": "2026-11-23T12:00:00+00:00"
                     *     }
                     */
                    "application/json": components["schemas"]["Signed"];
                };
            };
            400: components["responses"]["BadRequest"];
            401: components["responses"]["Unauthorized"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            422: components["responses"]["Invalid"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    ping: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok",
                     *       "message": "RhythmAI API is running"
                     *     }
                     */
                    "application/json": {
                        /** @constant */
                        status: "ok";
                        message: string;
                    };
                };
            };
        };
    };
    healthz: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The database answers. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok",
                     *       "database": "ok",
                     *       "workers": 2,
                     *       "workers_ready": 2
                     *     }
                     */
                    "application/json": components["schemas"]["Health"];
                };
            };
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    openapi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description An OpenAPI 3.1 document. */
            200: {
                headers: {
                    "X-Request-Id": components["headers"]["RequestId"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
        };
    };
}
