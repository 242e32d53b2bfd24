{{/*
The file FIRSTWORD_CONFIG: the settings of docs/settings.md. Takes {root, pool, forChecksum}. With forChecksum it leaves out adapters with
a path, because they change without a restart, and adds max_adapters, because the engine is created with that number.
*/}}
{{- define "firstword.config" -}}
{{- $pool := .pool -}}
{{- $adapters := list -}}
{{- range $pool.adapters -}}
  {{- if not (and .path $.forChecksum) -}}
    {{- $adapter := dict "name" .name "path" (include "firstword.adapterPath" .) -}}
    {{- with .thinking -}}
      {{- $_ := set $adapter "thinking" . -}}
    {{- end -}}
    {{- with .templateKwargs -}}
      {{- $_ := set $adapter "template_kwargs" . -}}
    {{- end -}}
    {{- with .chatTemplate -}}
      {{- $_ := set $adapter "chat_template" (include "firstword.chatTemplatePath" .) -}}
    {{- end -}}
    {{- $adapters = append $adapters $adapter -}}
  {{- end -}}
{{- end -}}
{{- $engineArgs := dict -}}
{{- if $pool.gpu.enabled -}}
  {{- $_ := set $engineArgs "tensor_parallel_size" (int $pool.gpu.count) -}}
{{- end -}}
{{- if gt (int $pool.nodes) 1 -}}
  {{- $_ := set $engineArgs "pipeline_parallel_size" (int $pool.nodes) -}}
{{- end -}}
{{- if and $pool.isHub $pool.model.revision -}}
  {{- $_ := set $engineArgs "revision" $pool.model.revision -}}
  {{- $_ := set $engineArgs "tokenizer_revision" $pool.model.revision -}}
{{- end -}}
{{- $config := dict
  "host" "0.0.0.0"
  "port" (include "firstword.port" . | int)
  "metrics_port" (include "firstword.metricsPort" . | int)
  "metrics_on_main_port" false
  "log_format" "json"
  "api_keys_file" "/etc/firstword/keys/keys.yaml"
  "model" $pool.model.name
  "model_aliases" $pool.model.aliases
  "adapters" $adapters
  "lameduck_s" $pool.lifecycle.lameduckSeconds
  "drain_timeout_s" $pool.lifecycle.drainSeconds
-}}
{{- with $pool.model.servedName -}}
  {{- $_ := set $config "served_model_name" . -}}
{{- end -}}
{{- with $pool.model.chatTemplate -}}
  {{- $_ := set $config "chat_template" (include "firstword.chatTemplatePath" .) -}}
{{- end -}}
{{- $config = mustMergeOverwrite $config (deepCopy $pool.settings) -}}
{{- $_ := set $config "engine_args" (mustMergeOverwrite $engineArgs (deepCopy $pool.engineArgs)) -}}
{{- if and .forChecksum $pool.adapters (not (hasKey $config "max_adapters")) -}}
  {{- /* As Settings.effective_max_adapters: the first adapter and the ninth need new pods with a higher limit. */ -}}
  {{- $_ := set $config "max_adapters" (max 8 (len $pool.adapters)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/*
Path of a chat template: of a file on the cache volume, or of its text in the ConfigMap. That file is named after its text. So another
text changes the settings file: new pods get it, and the service loads an adapter again.
*/}}
{{- define "firstword.chatTemplatePath" -}}
{{- if hasPrefix "/" . -}}
{{ . }}
{{- else -}}
/etc/firstword/config/{{ include "firstword.chatTemplateFile" . }}
{{- end -}}
{{- end -}}

{{- define "firstword.chatTemplateFile" -}}
chat-template-{{ sha256sum . | trunc 12 }}.jinja
{{- end -}}

{{/* The chat templates of a pool whose text is in the values, by file name. The result is JSON. */}}
{{- define "firstword.chatTemplates" -}}
{{- $files := dict -}}
{{- range $given := prepend (.adapters | default list) .model -}}
  {{- with $given.chatTemplate -}}
    {{- if not (hasPrefix "/" .) -}}
      {{- $_ := set $files (include "firstword.chatTemplateFile" .) . -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{ toJson $files }}
{{- end -}}
