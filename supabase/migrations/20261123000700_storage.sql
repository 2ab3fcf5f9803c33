-- The public buckets: unguessable paths (128 random bits or a content hash), no list policy, no upsert.
insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types) values
  ('uploads', 'uploads', true, 536870912, array['video/*', 'application/octet-stream']),
  ('videos', 'videos', true, 1073741824, array['video/mp4']),
  ('audios', 'audios', true, 536870912, array['audio/flac', 'audio/wav', 'audio/mpeg', 'audio/mp4', 'application/zip', 'application/octet-stream'])
on conflict (id) do update
  set public = excluded.public, file_size_limit = excluded.file_size_limit, allowed_mime_types = excluded.allowed_mime_types;
