// Made from edge_api/openapi.yaml by supabase/functions/generate.ts: change that, not this.
// deno-fmt-ignore-file
export default {
 "openapi": "3.1.0",
 "info": {
  "title": "RhythmAI",
  "version": "0.1.0",
  "summary": "Background music for a video; several different, mastered tracks, live, one by one.",
  "description": "Post the address of a video, and tracks appear one by one in the answer of `GET /api/v1/job/{job_id}`, as events of\n`GET /api/v1/job/{job_id}/events`, and on the Supabase Realtime topic `job:<job_id>`.\n\nErrors are RFC 9457 problems with a stable `code` and a `detail` that says what to do. Unknown fields are refused by\nname; `null` counts as left out. Every answer carries `X-Request-Id`, which the request may choose itself\n(8 to 64 letters, digits, `.`, `_` or `-`); else it is the id of the request's trace. A trace that begins elsewhere\ngoes on here: a W3C `traceparent` is kept in the job and sent on with its webhook. Everywhere, a method that an\naddress does not take is 405 `method_not_allowed`, with those it takes in `Allow`; an `Expect` other than\n`100-continue` is 417 `expectation_failed`; an `Idempotency-Key` or `Authorization` sent twice is refused.\n\nA request with the access token of a signed-in Supabase user makes an owned job, which only that user may see. A job\nmade without one needs only its id, which nobody can guess: keep it like a password. Depending on its settings a\nserver takes signed-in users only.\n",
  "license": {
   "name": "MIT",
   "identifier": "MIT"
  }
 },
 "servers": [
  {
   "url": "/",
   "description": "The server that sent this description."
  }
 ],
 "tags": [
  {
   "name": "jobs",
   "description": "Music for a video."
  },
  {
   "name": "videos",
   "description": "Bringing videos in and taking merged ones out."
  },
  {
   "name": "operation",
   "description": "Is it alive?"
  }
 ],
 "security": [
  {},
  {
   "user": []
  }
 ],
 "paths": {
  "/api/v1/gen": {
   "post": {
    "operationId": "gen",
    "tags": [
     "jobs"
    ],
    "summary": "Ask for music.",
    "description": "Makes a job and answers at once; the music is made by a worker.",
    "parameters": [
     {
      "$ref": "#/components/parameters/IdempotencyKey"
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/Gen"
       },
       "examples": {
        "short": {
         "summary": "All that is needed",
         "value": {
          "video_url": "https://example.com/holiday.mp4",
          "user_request": "warm and light"
         }
        },
        "planned": {
         "summary": "One hand-written direction",
         "value": {
          "video_url": "https://example.com/holiday.mp4",
          "seed": 7,
          "format": "mp3",
          "plan": [
           {
            "prompt": "slow cinematic piano, soft strings, melancholic",
            "title": "First snow",
            "tempo_bpm": 72,
            "key": "D minor"
           }
          ]
         }
        }
       }
      }
     }
    },
    "responses": {
     "200": {
      "$ref": "#/components/responses/Made"
     },
     "400": {
      "$ref": "#/components/responses/BadRequest"
     },
     "401": {
      "$ref": "#/components/responses/Unauthorized"
     },
     "408": {
      "$ref": "#/components/responses/RequestTimeout"
     },
     "413": {
      "$ref": "#/components/responses/PayloadTooLarge"
     },
     "415": {
      "$ref": "#/components/responses/UnsupportedMediaType"
     },
     "422": {
      "$ref": "#/components/responses/Invalid"
     },
     "429": {
      "$ref": "#/components/responses/TooManyJobs"
     },
     "500": {
      "$ref": "#/components/responses/Internal"
     },
     "503": {
      "$ref": "#/components/responses/Unavailable"
     }
    }
   }
  },
  "/api/v1/job/{job_id}": {
   "parameters": [
    {
     "$ref": "#/components/parameters/JobId"
    }
   ],
   "get": {
    "operationId": "job",
    "tags": [
     "jobs"
    ],
    "summary": "See a job.",
    "description": "Results appear one by one while the job is processing.",
    "responses": {
     "200": {
      "$ref": "#/components/responses/Job"
     },
     "401": {
      "$ref": "#/components/responses/Unauthorized"
     },
     "404": {
      "$ref": "#/components/responses/NotFound"
     },
     "500": {
      "$ref": "#/components/responses/Internal"
     },
     "503": {
      "$ref": "#/components/responses/Unavailable"
     }
    }
   },
   "delete": {
    "operationId": "cancel",
    "tags": [
     "jobs"
    ],
    "summary": "Cancel a job, also while it is running.",
    "description": "A pending job is cancelled at once. A running one stops soon after, and its status follows then. A job that has\nended stays as it is.\n",
    "responses": {
     "200": {
      "$ref": "#/components/responses/Job"
     },
     "401": {
      "$ref": "#/components/responses/Unauthorized"
     },
     "404": {
      "$ref": "#/components/responses/NotFound"
     },
     "500": {
      "$ref": "#/components/responses/Internal"
     },
     "503": {
      "$ref": "#/components/responses/Unavailable"
     }
    }
   }
  },
  "/api/v1/job/{job_id}/again": {
   "parameters": [
    {
     "$ref": "#/components/parameters/JobId"
    }
   ],
   "post": {
    "operationId": "again",
    "tags": [
     "jobs"
    ],
    "summary": "Ask for another take.",
    "description": "Makes a new job for the same video that plays the directions of the old one's plan (as far as there is one),\nall or with `variant` one of them, with a new seed or the given one.\n",
    "parameters": [
     {
      "$ref": "#/components/parameters/IdempotencyKey"
     }
    ],
    "requestBody": {
     "required": false,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/Again"
       },
       "examples": {
        "one": {
         "summary": "A new take of the second track",
         "value": {
          "variant": 1,
          "seed": 42
         }
        }
       }
      }
     }
    },
    "responses": {
     "200": {
      "$ref": "#/components/responses/Made"
     },
     "400": {
      "$ref": "#/components/responses/BadRequest"
     },
     "401": {
      "$ref": "#/components/responses/Unauthorized"
     },
     "404": {
      "$ref": "#/components/responses/NotFound"
     },
     "408": {
      "$ref": "#/components/responses/RequestTimeout"
     },
     "413": {
      "$ref": "#/components/responses/PayloadTooLarge"
     },
     "415": {
      "$ref": "#/components/responses/UnsupportedMediaType"
     },
     "422": {
      "$ref": "#/components/responses/Invalid"
     },
     "429": {
      "$ref": "#/components/responses/TooManyJobs"
     },
     "500": {
      "$ref": "#/components/responses/Internal"
     },
     "503": {
      "$ref": "#/components/responses/Unavailable"
     }
    }
   }
  },
  "/api/v1/job/{job_id}/events": {
   "parameters": [
    {
     "$ref": "#/components/parameters/JobId"
    }
   ],
   "get": {
    "operationId": "events",
    "tags": [
     "jobs"
    ],
    "summary": "Follow a job by server-sent events.",
    "description": "Event `result` carries a result and its `job_id`, event `job` the members `job_id`, `status`, `stage`,\n`completed_count`, `total_count`, `error` and `error_code`: what Realtime sends on topic `job:<job_id>`.\nA stream begins with everything that is there already and ends with the job.\n",
    "parameters": [
     {
      "name": "Last-Event-ID",
      "in": "header",
      "description": "Sent by an EventSource that comes back; after the end of the job the answer is 204, which stops it.",
      "schema": {
       "type": "string"
      }
     }
    ],
    "responses": {
     "200": {
      "description": "The stream.",
      "headers": {
       "X-Request-Id": {
        "$ref": "#/components/headers/RequestId"
       }
      },
      "content": {
       "text/event-stream": {
        "schema": {
         "$ref": "#/components/schemas/Event"
        }
       }
      }
     },
     "204": {
      "description": "The job has ended and the client has seen it.",
      "headers": {
       "X-Request-Id": {
        "$ref": "#/components/headers/RequestId"
       }
      }
     },
     "401": {
      "$ref": "#/components/responses/Unauthorized"
     },
     "404": {
      "$ref": "#/components/responses/NotFound"
     },
     "500": {
      "$ref": "#/components/responses/Internal"
     },
     "503": {
      "$ref": "#/components/responses/Unavailable"
     }
    }
   }
  },
  "/api/v1/merge": {
   "post": {
    "operationId": "merge",
    "tags": [
     "videos"
    ],
    "summary": "Put music under a video.",
    "description": "Waits for the merged video for about 50 seconds; when that is not enough, or at once with\n`Prefer: respond-async`, answers 202 with the job to watch, whose one result is `{\"index\": 0, \"video_url\": ...}`.\n",
    "parameters": [
     {
      "$ref": "#/components/parameters/IdempotencyKey"
     },
     {
      "name": "Prefer",
      "in": "header",
      "description": "`respond-async`: do not wait.",
      "schema": {
       "type": "string"
      },
      "example": "respond-async"
     }
    ],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/Merge"
       },
       "examples": {
        "mixed": {
         "summary": "Under the sound of the video, quieter while somebody speaks",
         "value": {
          "video_url": "https://example.com/holiday.mp4",
          "audio_url": "https://example.com/track.flac",
          "mode": "mix",
          "music_gain_db": -6,
          "duck": true
         }
        }
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "The merged video.",
      "headers": {
       "X-Request-Id": {
        "$ref": "#/components/headers/RequestId"
       }
      },
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Merged"
        },
        "example": {
         "video_url": "https://example.com/merged.mp4"
        }
       }
      }
     },
     "202": {
      "description": "The merge goes on; watch its job.",
      "headers": {
       "X-Request-Id": {
        "$ref": "#/components/headers/RequestId"
       },
       "Location": {
        "description": "The job's address.",
        "required": true,
        "schema": {
         "type": "string"
        }
       },
       "Preference-Applied": {
        "description": "`respond-async`, when that was asked for.",
        "schema": {
         "type": "string"
        }
       }
      },
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Made"
        },
        "example": {
         "job_id": "5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10"
        }
       }
      }
     },
     "400": {
      "$ref": "#/components/responses/BadRequest"
     },
     "401": {
      "$ref": "#/components/responses/Unauthorized"
     },
     "408": {
      "$ref": "#/components/responses/RequestTimeout"
     },
     "409": {
      "description": "Code `merge_cancelled`: somebody cancelled the merge while this request waited for it.",
      "headers": {
       "X-Request-Id": {
        "$ref": "#/components/headers/RequestId"
       }
      },
      "content": {
       "application/problem+json": {
        "schema": {
         "$ref": "#/components/schemas/Problem"
        },
        "example": {
         "type": "about:blank",
         "title": "Merge cancelled",
         "status": 409,
         "detail": "The merge was cancelled while it ran; post it again if you want it",
         "code": "merge_cancelled",
         "job_id": "5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10"
        }
       }
      }
     },
     "413": {
      "$ref": "#/components/responses/PayloadTooLarge"
     },
     "415": {
      "$ref": "#/components/responses/UnsupportedMediaType"
     },
     "422": {
      "$ref": "#/components/responses/Invalid"
     },
     "429": {
      "$ref": "#/components/responses/TooManyJobs"
     },
     "500": {
      "$ref": "#/components/responses/Internal"
     },
     "502": {
      "description": "Code `merge_unavailable`: the merge failed for a reason outside the request; try again later.",
      "headers": {
       "X-Request-Id": {
        "$ref": "#/components/headers/RequestId"
       }
      },
      "content": {
       "application/problem+json": {
        "schema": {
         "$ref": "#/components/schemas/Problem"
        },
        "example": {
         "type": "about:blank",
         "title": "Merge unavailable",
         "status": 502,
         "detail": "The merge failed: https://example.com/holiday.mp4 answered 503; it is tried again later",
         "code": "merge_unavailable",
         "error_code": "upstream_error",
         "job_id": "5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10"
        }
       }
      }
     },
     "503": {
      "$ref": "#/components/responses/Unavailable"
     }
    }
   }
  },
  "/api/v1/upload": {
   "post": {
    "operationId": "upload",
    "tags": [
     "videos"
    ],
    "summary": "Get an address to upload a video to.",
    "description": "Send the file's bytes to `upload_url` with `method` and `headers`; then `video_url` is its public address for\n`POST /api/v1/gen`. Uploads that no job uses are removed after a day.\n",
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {
        "$ref": "#/components/schemas/Upload"
       },
       "examples": {
        "phone": {
         "summary": "A video of a phone",
         "value": {
          "filename": "IMG_0042.mov",
          "content_type": "video/quicktime",
          "size": 48211034
         }
        }
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "Where to put the video.",
      "headers": {
       "X-Request-Id": {
        "$ref": "#/components/headers/RequestId"
       }
      },
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Signed"
        },
        "example": {
         "upload_url": "https://example.supabase.co/storage/v1/object/upload/sign/uploads/9f86d081884c7d659a2feaa0c55ad015.mov?token=eyJ",
         "method": "PUT",
         "headers": {
          "content-type": "video/quicktime",
          "x-upsert": "false"
         },
         "video_url": "https://example.supabase.co/storage/v1/object/public/uploads/9f86d081884c7d659a2feaa0c55ad015.mov",
         "expires_at": "2026-11-23T12:00:00+00:00"
        }
       }
      }
     },
     "400": {
      "$ref": "#/components/responses/BadRequest"
     },
     "401": {
      "$ref": "#/components/responses/Unauthorized"
     },
     "408": {
      "$ref": "#/components/responses/RequestTimeout"
     },
     "413": {
      "$ref": "#/components/responses/PayloadTooLarge"
     },
     "415": {
      "$ref": "#/components/responses/UnsupportedMediaType"
     },
     "422": {
      "$ref": "#/components/responses/Invalid"
     },
     "500": {
      "$ref": "#/components/responses/Internal"
     },
     "503": {
      "$ref": "#/components/responses/Unavailable"
     }
    }
   }
  },
  "/api/v1/ping": {
   "get": {
    "operationId": "ping",
    "tags": [
     "operation"
    ],
    "summary": "Is the API there?",
    "security": [],
    "responses": {
     "200": {
      "description": "It is.",
      "headers": {
       "X-Request-Id": {
        "$ref": "#/components/headers/RequestId"
       }
      },
      "content": {
       "application/json": {
        "schema": {
         "type": "object",
         "required": [
          "status",
          "message"
         ],
         "properties": {
          "status": {
           "const": "ok"
          },
          "message": {
           "type": "string"
          }
         }
        },
        "example": {
         "status": "ok",
         "message": "RhythmAI API is running"
        }
       }
      }
     }
    }
   }
  },
  "/healthz": {
   "get": {
    "operationId": "healthz",
    "tags": [
     "operation"
    ],
    "summary": "Is the database there, and are workers alive?",
    "security": [],
    "responses": {
     "200": {
      "description": "The database answers.",
      "headers": {
       "X-Request-Id": {
        "$ref": "#/components/headers/RequestId"
       }
      },
      "content": {
       "application/json": {
        "schema": {
         "$ref": "#/components/schemas/Health"
        },
        "example": {
         "status": "ok",
         "database": "ok",
         "workers": 2,
         "workers_ready": 2
        }
       }
      }
     },
     "500": {
      "$ref": "#/components/responses/Internal"
     },
     "503": {
      "$ref": "#/components/responses/Unavailable"
     }
    }
   }
  },
  "/openapi.json": {
   "get": {
    "operationId": "openapi",
    "tags": [
     "operation"
    ],
    "summary": "This description.",
    "security": [],
    "responses": {
     "200": {
      "description": "An OpenAPI 3.1 document.",
      "headers": {
       "X-Request-Id": {
        "$ref": "#/components/headers/RequestId"
       }
      },
      "content": {
       "application/json": {
        "schema": {
         "type": "object",
         "required": [
          "openapi",
          "info",
          "paths"
         ]
        }
       }
      }
     }
    }
   }
  }
 },
 "components": {
  "securitySchemes": {
   "user": {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The access token of a signed-in Supabase user. A publishable or anon key, as supabase-js sends it before sign-in,\nis a visitor.\n"
   }
  },
  "parameters": {
   "JobId": {
    "name": "job_id",
    "in": "path",
    "required": true,
    "description": "What `POST /api/v1/gen` answered.",
    "schema": {
     "type": "string",
     "format": "uuid"
    },
    "example": "5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10"
   },
   "IdempotencyKey": {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same request with the same key again answers with the first job instead of making another. The same key with\nanother body is 422 `idempotency_mismatch`. A signed-in user takes any key; a visitor's has at least 16 characters,\nso that nobody can guess it, and a shorter one is 422 `invalid_request`.\n",
    "schema": {
     "type": "string",
     "minLength": 1,
     "maxLength": 255,
     "pattern": "^[!-~]*$"
    }
   }
  },
  "headers": {
   "RequestId": {
    "description": "The id under which the logs know this request.",
    "required": true,
    "schema": {
     "type": "string"
    }
   },
   "RetryAfter": {
    "description": "Seconds to wait before trying again.",
    "required": true,
    "schema": {
     "type": "string",
     "pattern": "^[0-9]+$"
    }
   }
  },
  "schemas": {
   "Gen": {
    "type": "object",
    "additionalProperties": false,
    "required": [
     "video_url"
    ],
    "properties": {
     "video_url": {
      "$ref": "#/components/schemas/Address"
     },
     "user_request": {
      "type": [
       "string",
       "null"
      ],
      "default": "",
      "maxLength": 2000,
      "pattern": "^[^\\x00]*$",
      "description": "What the music should be like, in any language. The director reads the first 500 characters."
     },
     "variants": {
      "type": [
       "integer",
       "null"
      ],
      "minimum": 1,
      "maximum": 8,
      "description": "How many tracks; 3 when left out. With `plan`, its length counts."
     },
     "seed": {
      "type": [
       "integer",
       "null"
      ],
      "minimum": 0,
      "maximum": 4294967295,
      "description": "The same seed makes the same music; every track derives its own. Random when left out."
     },
     "duration": {
      "type": [
       "number",
       "null"
      ],
      "minimum": 0.64,
      "maximum": 86400,
      "description": "Only the first seconds of the video."
     },
     "negative_prompt": {
      "type": [
       "string",
       "null"
      ],
      "maxLength": 2000,
      "pattern": "^[^\\x00]*$",
      "description": "What should not be heard."
     },
     "conditioning": {
      "enum": [
       "full",
       "text+clip",
       "text",
       null
      ],
      "description": "What the generator follows; `full`, which includes the timing of the picture, when left out."
     },
     "format": {
      "enum": [
       "flac",
       "wav",
       "mp3",
       "m4a",
       null
      ],
      "description": "The file format of the tracks; `flac` when left out."
     },
     "plan": {
      "type": [
       "array",
       "null"
      ],
      "minItems": 1,
      "maxItems": 8,
      "items": {
       "$ref": "#/components/schemas/Direction"
      },
      "description": "Hand-written directions, one for each track, instead of the director's."
     },
     "callback_url": {
      "oneOf": [
       {
        "$ref": "#/components/schemas/Address"
       },
       {
        "type": "null"
       }
      ],
      "description": "Gets a signed POST with the job's answer when it has ended."
     }
    }
   },
   "Direction": {
    "type": "object",
    "additionalProperties": false,
    "required": [
     "prompt"
    ],
    "properties": {
     "prompt": {
      "type": "string",
      "minLength": 1,
      "maxLength": 1000,
      "pattern": "^[^\\x00]*$",
      "description": "The caption for the generator, in English; it hears about the first 77 tokens."
     },
     "title": {
      "type": [
       "string",
       "null"
      ],
      "maxLength": 200,
      "pattern": "^[^\\x00]*$"
     },
     "description": {
      "type": [
       "string",
       "null"
      ],
      "maxLength": 2000,
      "pattern": "^[^\\x00]*$"
     },
     "genre": {
      "type": [
       "string",
       "null"
      ],
      "maxLength": 200,
      "pattern": "^[^\\x00]*$"
     },
     "instruments": {
      "type": [
       "array",
       "null"
      ],
      "maxItems": 16,
      "items": {
       "type": "string",
       "maxLength": 200,
       "pattern": "^[^\\x00]*$"
      }
     },
     "tempo_bpm": {
      "type": [
       "number",
       "null"
      ],
      "minimum": 20,
      "maximum": 300
     },
     "key": {
      "type": [
       "string",
       "null"
      ],
      "pattern": "^[A-G](#|b)? (major|minor|dorian|phrygian|lydian|mixolydian)$",
      "description": "A tonic and a mode, such as \"D minor\" or \"F# major\".",
      "examples": [
       "D minor"
      ]
     },
     "mood": {
      "type": [
       "string",
       "null"
      ],
      "maxLength": 200,
      "pattern": "^[^\\x00]*$"
     }
    }
   },
   "Merge": {
    "type": "object",
    "additionalProperties": false,
    "required": [
     "video_url",
     "audio_url"
    ],
    "properties": {
     "video_url": {
      "$ref": "#/components/schemas/Address"
     },
     "audio_url": {
      "$ref": "#/components/schemas/Address"
     },
     "mode": {
      "enum": [
       "replace",
       "mix",
       null
      ],
      "description": "Instead of the sound of the video, or together with it; `replace` when left out."
     },
     "music_gain_db": {
      "type": [
       "number",
       "null"
      ],
      "minimum": -60,
      "maximum": 20
     },
     "duck": {
      "type": [
       "boolean",
       "null"
      ],
      "description": "With `mix`, lower the music while the video sounds."
     },
     "callback_url": {
      "oneOf": [
       {
        "$ref": "#/components/schemas/Address"
       },
       {
        "type": "null"
       }
      ],
      "description": "Gets a signed POST with the job's answer when it has ended."
     }
    }
   },
   "Again": {
    "type": "object",
    "additionalProperties": false,
    "properties": {
     "seed": {
      "type": [
       "integer",
       "null"
      ],
      "minimum": 0,
      "maximum": 4294967295
     },
     "variant": {
      "type": [
       "integer",
       "null"
      ],
      "minimum": 0,
      "maximum": 7,
      "description": "The `index` of one result; all directions when left out."
     }
    }
   },
   "Upload": {
    "type": "object",
    "additionalProperties": false,
    "required": [
     "filename",
     "content_type",
     "size"
    ],
    "properties": {
     "filename": {
      "type": "string",
      "minLength": 1,
      "maxLength": 255,
      "pattern": "^[^\\x00]*$"
     },
     "content_type": {
      "enum": [
       "video/mp4",
       "video/quicktime",
       "video/webm",
       "video/x-matroska",
       "video/x-msvideo",
       "video/mp2t",
       "video/x-flv",
       "video/ogg"
      ]
     },
     "size": {
      "type": "integer",
      "minimum": 1,
      "description": "Bytes; more than 536870912 (512 MB) is 413."
     }
    }
   },
   "Address": {
    "type": "string",
    "minLength": 8,
    "maxLength": 2048,
    "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^\\x00-\\x20\\x7f-\\xa0\\u2000-\\u200f\\u2028-\\u202f\\u3000\\ufeff/?#@\\\\]+([/?#][^\\x00-\\x20\\x7f-\\xa0\\u2000-\\u200f\\u2028-\\u202f\\u3000\\ufeff]*)?$",
    "description": "An http or https address with a host and without a user name.",
    "examples": [
     "https://example.com/holiday.mp4"
    ]
   },
   "Made": {
    "type": "object",
    "required": [
     "job_id"
    ],
    "properties": {
     "job_id": {
      "type": "string",
      "format": "uuid"
     }
    }
   },
   "Merged": {
    "type": "object",
    "required": [
     "video_url"
    ],
    "properties": {
     "video_url": {
      "type": "string"
     }
    }
   },
   "Signed": {
    "type": "object",
    "required": [
     "upload_url",
     "method",
     "headers",
     "video_url",
     "expires_at"
    ],
    "properties": {
     "upload_url": {
      "type": "string"
     },
     "method": {
      "const": "PUT"
     },
     "headers": {
      "type": "object",
      "additionalProperties": {
       "type": "string"
      }
     },
     "video_url": {
      "type": "string"
     },
     "expires_at": {
      "type": "string",
      "format": "date-time"
     }
    }
   },
   "Health": {
    "type": "object",
    "required": [
     "status",
     "database",
     "workers",
     "workers_ready"
    ],
    "properties": {
     "status": {
      "const": "ok"
     },
     "database": {
      "const": "ok"
     },
     "workers": {
      "type": "integer",
      "minimum": 0,
      "description": "Workers that beat."
     },
     "workers_ready": {
      "type": "integer",
      "minimum": 0,
      "description": "Those among them that take jobs."
     }
    }
   },
   "Job": {
    "type": "object",
    "required": [
     "job_id",
     "status",
     "completed_count",
     "total_count",
     "results",
     "error",
     "error_code",
     "kind",
     "stage",
     "video_url",
     "user_request",
     "created_at",
     "started_at",
     "finished_at",
     "queue_position"
    ],
    "properties": {
     "job_id": {
      "type": "string",
      "format": "uuid"
     },
     "status": {
      "enum": [
       "pending",
       "processing",
       "completed",
       "failed",
       "cancelled"
      ]
     },
     "completed_count": {
      "type": "integer",
      "minimum": 0,
      "maximum": 8
     },
     "total_count": {
      "type": "integer",
      "minimum": 1,
      "maximum": 8,
      "description": "A completed job may have fewer results, when some variants failed for good."
     },
     "results": {
      "type": "array",
      "items": {
       "anyOf": [
        {
         "$ref": "#/components/schemas/Track"
        },
        {
         "$ref": "#/components/schemas/Video"
        }
       ]
      }
     },
     "error": {
      "type": [
       "string",
       "null"
      ],
      "description": "Why a failed job failed",
      "and what to do.": null
     },
     "error_code": {
      "type": [
       "string",
       "null"
      ]
     },
     "kind": {
      "enum": [
       "generate",
       "merge"
      ]
     },
     "stage": {
      "enum": [
       "fetching",
       "describing",
       "composing",
       "merging",
       null
      ]
     },
     "video_url": {
      "type": "string"
     },
     "user_request": {
      "type": "string"
     },
     "created_at": {
      "type": "string",
      "format": "date-time"
     },
     "started_at": {
      "type": [
       "string",
       "null"
      ],
      "format": "date-time"
     },
     "finished_at": {
      "type": [
       "string",
       "null"
      ],
      "format": "date-time"
     },
     "queue_position": {
      "type": [
       "integer",
       "null"
      ],
      "minimum": 1,
      "description": "The place of a pending job, 1 is next; counted up to 1000."
     }
    }
   },
   "Track": {
    "type": "object",
    "description": "A result of a job of kind `generate`.",
    "required": [
     "prompt",
     "audio_url",
     "index",
     "title",
     "description",
     "seed",
     "duration",
     "bpm",
     "key",
     "engine",
     "model",
     "describer",
     "peaks",
     "created_at"
    ],
    "properties": {
     "prompt": {
      "type": "string"
     },
     "audio_url": {
      "type": "string"
     },
     "index": {
      "type": "integer",
      "minimum": 0,
      "maximum": 7
     },
     "title": {
      "type": "string"
     },
     "description": {
      "type": "string"
     },
     "seed": {
      "type": [
       "integer",
       "null"
      ]
     },
     "duration": {
      "type": [
       "number",
       "null"
      ],
      "description": "Seconds."
     },
     "bpm": {
      "type": [
       "number",
       "null"
      ]
     },
     "key": {
      "type": [
       "string",
       "null"
      ]
     },
     "engine": {
      "type": "string",
      "description": "What made it: mmaudio, or sketch, the small procedural composer."
     },
     "model": {
      "type": "string"
     },
     "describer": {
      "type": "string",
      "description": "Who wrote the direction: a model, local rules, or the user."
     },
     "peaks": {
      "type": [
       "array",
       "null"
      ],
      "maxItems": 800,
      "items": {
       "type": "number"
      },
      "description": "The wave form, absolute peaks 0 to 1."
     },
     "created_at": {
      "type": "string",
      "format": "date-time"
     }
    }
   },
   "Video": {
    "type": "object",
    "description": "The result of a job of kind `merge`.",
    "required": [
     "index",
     "video_url"
    ],
    "properties": {
     "index": {
      "const": 0
     },
     "video_url": {
      "type": "string"
     }
    }
   },
   "Event": {
    "type": "object",
    "description": "One event of the stream.",
    "required": [
     "event",
     "data"
    ],
    "properties": {
     "event": {
      "enum": [
       "job",
       "result"
      ]
     },
     "data": {
      "type": "string",
      "contentMediaType": "application/json"
     },
     "id": {
      "const": "end",
      "description": "Marks the last event."
     }
    },
    "examples": [
     {
      "event": "job",
      "data": "{\"job_id\": \"5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10\", \"status\": \"processing\", \"stage\": \"composing\", \"completed_count\": 0, \"total_count\": 3, \"error\": null, \"error_code\": null}"
     }
    ]
   },
   "Problem": {
    "type": "object",
    "description": "RFC 9457.",
    "required": [
     "type",
     "title",
     "status",
     "detail",
     "code"
    ],
    "properties": {
     "type": {
      "const": "about:blank"
     },
     "title": {
      "type": "string"
     },
     "status": {
      "type": "integer",
      "minimum": 400,
      "maximum": 599
     },
     "detail": {
      "type": "string",
      "description": "What was wrong and what to do."
     },
     "code": {
      "description": "Stable; programs decide by it.",
      "enum": [
       "auth_unavailable",
       "bad_request",
       "database_unavailable",
       "expectation_failed",
       "idempotency_mismatch",
       "internal",
       "invalid_json",
       "invalid_request",
       "merge_cancelled",
       "merge_failed",
       "merge_unavailable",
       "method_not_allowed",
       "not_found",
       "payload_too_large",
       "request_timeout",
       "storage_unavailable",
       "too_many_jobs",
       "too_many_streams",
       "unauthorized",
       "unknown_field",
       "unsupported_media_type"
      ]
     },
     "errors": {
      "type": "array",
      "description": "The fields that were wrong, at most ten.",
      "items": {
       "type": "object",
       "required": [
        "field",
        "message"
       ],
       "properties": {
        "field": {
         "type": "string"
        },
        "message": {
         "type": "string"
        }
       }
      }
     },
     "job_id": {
      "type": "string",
      "format": "uuid",
      "description": "The merge that failed."
     },
     "error_code": {
      "type": "string",
      "description": "Why the merge failed",
      "as in the answer of its job.": null
     }
    }
   }
  },
  "responses": {
   "Made": {
    "description": "The job was made.",
    "headers": {
     "X-Request-Id": {
      "$ref": "#/components/headers/RequestId"
     }
    },
    "content": {
     "application/json": {
      "schema": {
       "$ref": "#/components/schemas/Made"
      },
      "example": {
       "job_id": "5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10"
      }
     }
    }
   },
   "Job": {
    "description": "The job as it is now.",
    "headers": {
     "X-Request-Id": {
      "$ref": "#/components/headers/RequestId"
     }
    },
    "content": {
     "application/json": {
      "schema": {
       "$ref": "#/components/schemas/Job"
      },
      "examples": {
       "processing": {
        "summary": "The first of three tracks is there",
        "value": {
         "job_id": "5f0c6d5e-2f6e-4f0e-9a53-0b8f3e4c7a10",
         "status": "processing",
         "completed_count": 1,
         "total_count": 3,
         "results": [
          {
           "prompt": "slow cinematic piano, soft strings, melancholic",
           "audio_url": "https://example.supabase.co/storage/v1/object/public/audios/2c26b46b68ffc68f.flac",
           "index": 0,
           "title": "First snow",
           "description": "A quiet piano over strings that open with the picture.",
           "seed": 3735928559,
           "duration": 12,
           "bpm": 72,
           "key": "D minor",
           "engine": "mmaudio",
           "model": "large_44k_v2",
           "describer": "openai:ernie-4.5-vl-28b-a3b",
           "peaks": [
            0.02,
            0.31,
            0.28
           ],
           "created_at": "2026-11-23T10:00:09+00:00"
          }
         ],
         "error": null,
         "error_code": null,
         "kind": "generate",
         "stage": "composing",
         "video_url": "https://example.com/holiday.mp4",
         "user_request": "warm and light",
         "created_at": "2026-11-23T10:00:00+00:00",
         "started_at": "2026-11-23T10:00:01+00:00",
         "finished_at": null,
         "queue_position": null
        }
       }
      }
     }
    }
   },
   "BadRequest": {
    "description": "Code `invalid_json` or `bad_request`: the body is not JSON, or not what its headers say.",
    "headers": {
     "X-Request-Id": {
      "$ref": "#/components/headers/RequestId"
     }
    },
    "content": {
     "application/problem+json": {
      "schema": {
       "$ref": "#/components/schemas/Problem"
      },
      "example": {
       "type": "about:blank",
       "title": "Invalid JSON",
       "status": 400,
       "detail": "The body is not JSON we can read: send one object, in UTF-8",
       "code": "invalid_json"
      }
     }
    }
   },
   "Unauthorized": {
    "description": "Code `unauthorized`: the access token is invalid or has expired, or this server wants one.",
    "headers": {
     "X-Request-Id": {
      "$ref": "#/components/headers/RequestId"
     },
     "WWW-Authenticate": {
      "required": true,
      "schema": {
       "const": "Bearer"
      }
     }
    },
    "content": {
     "application/problem+json": {
      "schema": {
       "$ref": "#/components/schemas/Problem"
      },
      "example": {
       "type": "about:blank",
       "title": "Unauthorized",
       "status": 401,
       "detail": "The access token has expired; refresh the session and try again",
       "code": "unauthorized"
      }
     }
    }
   },
   "NotFound": {
    "description": "Code `not_found`: no such job, or one of somebody else; which of the two is not told.",
    "headers": {
     "X-Request-Id": {
      "$ref": "#/components/headers/RequestId"
     }
    },
    "content": {
     "application/problem+json": {
      "schema": {
       "$ref": "#/components/schemas/Problem"
      },
      "example": {
       "type": "about:blank",
       "title": "Not found",
       "status": 404,
       "detail": "There is no job with this id, or it belongs to somebody who must sign in to see it",
       "code": "not_found"
      }
     }
    }
   },
   "RequestTimeout": {
    "description": "Code `request_timeout`: the body did not arrive in time.",
    "headers": {
     "X-Request-Id": {
      "$ref": "#/components/headers/RequestId"
     }
    },
    "content": {
     "application/problem+json": {
      "schema": {
       "$ref": "#/components/schemas/Problem"
      },
      "example": {
       "type": "about:blank",
       "title": "Request timeout",
       "status": 408,
       "detail": "The body did not arrive within 15 s; send it again",
       "code": "request_timeout"
      }
     }
    }
   },
   "PayloadTooLarge": {
    "description": "Code `payload_too_large`: the body is over 256 kB, or the video to upload over 512 MB.",
    "headers": {
     "X-Request-Id": {
      "$ref": "#/components/headers/RequestId"
     }
    },
    "content": {
     "application/problem+json": {
      "schema": {
       "$ref": "#/components/schemas/Problem"
      },
      "example": {
       "type": "about:blank",
       "title": "Payload too large",
       "status": 413,
       "detail": "The body is too large; a request is at most 256 kB of JSON, videos go to /api/v1/upload",
       "code": "payload_too_large"
      }
     }
    }
   },
   "UnsupportedMediaType": {
    "description": "Code `unsupported_media_type`: the body is not declared as JSON.",
    "headers": {
     "X-Request-Id": {
      "$ref": "#/components/headers/RequestId"
     }
    },
    "content": {
     "application/problem+json": {
      "schema": {
       "$ref": "#/components/schemas/Problem"
      },
      "example": {
       "type": "about:blank",
       "title": "Unsupported media type",
       "status": 415,
       "detail": "The body must be JSON; send it with Content-Type: application/json",
       "code": "unsupported_media_type"
      }
     }
    }
   },
   "Invalid": {
    "description": "Code `invalid_request` (a value is wrong), `unknown_field`, `idempotency_mismatch`, or from a merge `merge_failed`\n(it cannot work with these files).\n",
    "headers": {
     "X-Request-Id": {
      "$ref": "#/components/headers/RequestId"
     }
    },
    "content": {
     "application/problem+json": {
      "schema": {
       "$ref": "#/components/schemas/Problem"
      },
      "examples": {
       "value": {
        "summary": "A value is wrong",
        "value": {
         "type": "about:blank",
         "title": "Invalid request",
         "status": 422,
         "detail": "variants: should be less than or equal to 8",
         "code": "invalid_request",
         "errors": [
          {
           "field": "variants",
           "message": "should be less than or equal to 8"
          }
         ]
        }
       },
       "key": {
        "summary": "The key was used before",
        "value": {
         "type": "about:blank",
         "title": "Idempotency mismatch",
         "status": 422,
         "detail": "this Idempotency-Key was used with another body; take a new key for a new request",
         "code": "idempotency_mismatch"
        }
       }
      }
     }
    }
   },
   "TooManyJobs": {
    "description": "Code `too_many_jobs`: too many jobs of this user or client address wait already.",
    "headers": {
     "X-Request-Id": {
      "$ref": "#/components/headers/RequestId"
     },
     "Retry-After": {
      "$ref": "#/components/headers/RetryAfter"
     }
    },
    "content": {
     "application/problem+json": {
      "schema": {
       "$ref": "#/components/schemas/Problem"
      },
      "example": {
       "type": "about:blank",
       "title": "Too many jobs",
       "status": 429,
       "detail": "10 jobs of yours wait already, which is the limit; try again when some have run",
       "code": "too_many_jobs"
      }
     }
    }
   },
   "Internal": {
    "description": "Code `internal`: something broke on our side.",
    "headers": {
     "X-Request-Id": {
      "$ref": "#/components/headers/RequestId"
     }
    },
    "content": {
     "application/problem+json": {
      "schema": {
       "$ref": "#/components/schemas/Problem"
      },
      "example": {
       "type": "about:blank",
       "title": "Internal",
       "status": 500,
       "detail": "Something went wrong on our side; try again, and report the X-Request-Id if it stays",
       "code": "internal"
      }
     }
    }
   },
   "Unavailable": {
    "description": "Code `database_unavailable`, `storage_unavailable`, `auth_unavailable` or `too_many_streams`: something this\nserver needs is away for a moment.\n",
    "headers": {
     "X-Request-Id": {
      "$ref": "#/components/headers/RequestId"
     },
     "Retry-After": {
      "$ref": "#/components/headers/RetryAfter"
     }
    },
    "content": {
     "application/problem+json": {
      "schema": {
       "$ref": "#/components/schemas/Problem"
      },
      "example": {
       "type": "about:blank",
       "title": "Database unavailable",
       "status": 503,
       "detail": "The database cannot be reached; try again in a few seconds",
       "code": "database_unavailable"
      }
     }
    }
   }
  }
 }
};
