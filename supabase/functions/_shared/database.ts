// Made by `supabase gen types` from the migrations (python -m tests.functions): change those, not this.
// deno-lint-ignore-file
export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[];

export type Database = {
  "public": {
    Tables: {
      "deliveries": {
        Row: {
          "attempt": number;
          "created_at": string;
          "delivered_at": string | null;
          "job_id": string;
          "last_error": string | null;
          "max_attempts": number;
          "next_at": string | null;
          "state": string;
          "url": string;
          "worker_id": number | null;
        };
        ComputedFields: never;
        Insert: {
          "attempt"?: number;
          "created_at"?: string;
          "delivered_at"?: string | null;
          "job_id": string;
          "last_error"?: string | null;
          "max_attempts"?: number;
          "next_at"?: string | null;
          "state"?: string;
          "url": string;
          "worker_id"?: number | null;
        };
        Update: {
          "attempt"?: number;
          "created_at"?: string;
          "delivered_at"?: string | null;
          "job_id"?: string;
          "last_error"?: string | null;
          "max_attempts"?: number;
          "next_at"?: string | null;
          "state"?: string;
          "url"?: string;
          "worker_id"?: number | null;
        };
        Relationships: [
          {
            foreignKeyName: "deliveries_job_id_fkey";
            columns: ["job_id"];
            isOneToOne: true;
            referencedRelation: "jobs";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "deliveries_worker_id_fkey";
            columns: ["worker_id"];
            isOneToOne: false;
            referencedRelation: "workers";
            referencedColumns: ["id"];
          },
        ];
      };
      "jobs": {
        Row: {
          "attempt": number;
          "cancel_requested": boolean;
          "claimed_at": string | null;
          "crashes": number;
          "created_at": string;
          "deadline_at": string | null;
          "error": string | null;
          "error_code": string | null;
          "finished_at": string | null;
          "id": string;
          "idempotency_key": string | null;
          "kind": string;
          "lane": string;
          "max_attempts": number;
          "options": NonNullable<Json>;
          "owner": string | null;
          "plan": Json | null;
          "priority": number;
          "request_hash": string | null;
          "run_at": string | null;
          "seq": number;
          "stage": string | null;
          "started_at": string | null;
          "status": string;
          "tenant": string;
          "total_count": number;
          "traceparent": string;
          "turn": number;
          "user_request": string;
          "video_url": string;
          "worker_id": number | null;
        };
        ComputedFields: never;
        Insert: {
          "attempt"?: number;
          "cancel_requested"?: boolean;
          "claimed_at"?: string | null;
          "crashes"?: number;
          "created_at"?: string;
          "deadline_at"?: string | null;
          "error"?: string | null;
          "error_code"?: string | null;
          "finished_at"?: string | null;
          "id"?: string;
          "idempotency_key"?: string | null;
          "kind"?: string;
          "lane"?: string;
          "max_attempts"?: number;
          "options"?: NonNullable<Json>;
          "owner"?: string | null;
          "plan"?: Json | null;
          "priority"?: number;
          "request_hash"?: string | null;
          "run_at"?: string | null;
          "seq"?: never;
          "stage"?: string | null;
          "started_at"?: string | null;
          "status"?: string;
          "tenant"?: string;
          "total_count"?: number;
          "traceparent"?: string;
          "turn"?: number;
          "user_request"?: string;
          "video_url": string;
          "worker_id"?: number | null;
        };
        Update: {
          "attempt"?: number;
          "cancel_requested"?: boolean;
          "claimed_at"?: string | null;
          "crashes"?: number;
          "created_at"?: string;
          "deadline_at"?: string | null;
          "error"?: string | null;
          "error_code"?: string | null;
          "finished_at"?: string | null;
          "id"?: string;
          "idempotency_key"?: string | null;
          "kind"?: string;
          "lane"?: string;
          "max_attempts"?: number;
          "options"?: NonNullable<Json>;
          "owner"?: string | null;
          "plan"?: Json | null;
          "priority"?: number;
          "request_hash"?: string | null;
          "run_at"?: string | null;
          "seq"?: never;
          "stage"?: string | null;
          "started_at"?: string | null;
          "status"?: string;
          "tenant"?: string;
          "total_count"?: number;
          "traceparent"?: string;
          "turn"?: number;
          "user_request"?: string;
          "video_url"?: string;
          "worker_id"?: number | null;
        };
        Relationships: [
          {
            foreignKeyName: "jobs_worker_id_fkey";
            columns: ["worker_id"];
            isOneToOne: false;
            referencedRelation: "workers";
            referencedColumns: ["id"];
          },
        ];
      };
      "results": {
        Row: {
          "attempt": number;
          "audio_url": string | null;
          "bpm": number | null;
          "created_at": string;
          "describer": string;
          "description": string;
          "duration": number | null;
          "engine": string;
          "index": number;
          "job_id": string;
          "key": string | null;
          "model": string;
          "owner": string | null;
          "peaks": (number)[] | null;
          "prompt": string;
          "seed": number | null;
          "title": string;
          "video_url": string | null;
        };
        ComputedFields: never;
        Insert: {
          "attempt": number;
          "audio_url"?: string | null;
          "bpm"?: number | null;
          "created_at"?: string;
          "describer"?: string;
          "description"?: string;
          "duration"?: number | null;
          "engine"?: string;
          "index": number;
          "job_id": string;
          "key"?: string | null;
          "model"?: string;
          "owner"?: string | null;
          "peaks"?: (number)[] | null;
          "prompt"?: string;
          "seed"?: number | null;
          "title"?: string;
          "video_url"?: string | null;
        };
        Update: {
          "attempt"?: number;
          "audio_url"?: string | null;
          "bpm"?: number | null;
          "created_at"?: string;
          "describer"?: string;
          "description"?: string;
          "duration"?: number | null;
          "engine"?: string;
          "index"?: number;
          "job_id"?: string;
          "key"?: string | null;
          "model"?: string;
          "owner"?: string | null;
          "peaks"?: (number)[] | null;
          "prompt"?: string;
          "seed"?: number | null;
          "title"?: string;
          "video_url"?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "results_job_id_fkey";
            columns: ["job_id"];
            isOneToOne: false;
            referencedRelation: "jobs";
            referencedColumns: ["id"];
          },
        ];
      };
      "workers": {
        Row: {
          "draining": boolean;
          "engine": string;
          "id": number;
          "kinds": (string)[];
          "last_seen": string;
          "lease": string;
          "name": string;
          "ready_at": string | null;
          "started_at": string;
          "state": string;
          "version": string;
        };
        ComputedFields: never;
        Insert: {
          "draining"?: boolean;
          "engine"?: string;
          "id"?: never;
          "kinds": (string)[];
          "last_seen"?: string;
          "lease"?: string;
          "name": string;
          "ready_at"?: string | null;
          "started_at"?: string;
          "state"?: string;
          "version"?: string;
        };
        Update: {
          "draining"?: boolean;
          "engine"?: string;
          "id"?: never;
          "kinds"?: (string)[];
          "last_seen"?: string;
          "lease"?: string;
          "name"?: string;
          "ready_at"?: string | null;
          "started_at"?: string;
          "state"?: string;
          "version"?: string;
        };
        Relationships: [];
      };
    };
    Views: {
      [_ in never]: never;
    };
    Functions: {
      [_ in never]: never;
    };
    Enums: {
      [_ in never]: never;
    };
    CompositeTypes: {
      [_ in never]: never;
    };
  };
};

type DatabaseWithoutInternals = Omit<Database, "__InternalSupabase">;

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, "public">];

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof (
      & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
      & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"]
    )
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals } ? (
    & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"]
  )[TableName] extends {
    Row: infer R;
  } ? R
  : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    ? (DefaultSchema["Tables"] & DefaultSchema["Views"])[DefaultSchemaTableNameOrOptions] extends {
      Row: infer R;
    } ? R
    : never
  : never;

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
    Insert: infer I;
  } ? I
  : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
    ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Insert: infer I;
    } ? I
    : never
  : never;

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
    Update: infer U;
  } ? U
  : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
    ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Update: infer U;
    } ? U
    : never
  : never;

export type Enums<
  DefaultSchemaEnumNameOrOptions extends
    | keyof DefaultSchema["Enums"]
    | { schema: keyof DatabaseWithoutInternals },
  EnumName extends DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"]
    : never = never,
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"]
    ? DefaultSchema["Enums"][DefaultSchemaEnumNameOrOptions]
  : never;

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema["CompositeTypes"]
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"]
    : never = never,
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema["CompositeTypes"]
    ? DefaultSchema["CompositeTypes"][PublicCompositeTypeNameOrOptions]
  : never;

export const Constants = {
  "public": {
    Enums: {},
  },
} as const;
