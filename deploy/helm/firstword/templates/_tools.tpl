{{/* Pods of check and load test: the small image, hardened as the service's. */}}
{{- define "firstword.toolsPod" -}}
serviceAccountName: {{ include "firstword.fullname" . }}
automountServiceAccountToken: false
# A Service named firstword-… would put FIRSTWORD_… variables into the pod.
enableServiceLinks: false
restartPolicy: Never
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tools.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tools.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "firstword.podSecurity" . | nindent 2 }}
{{- end -}}

{{- define "firstword.toolsContainer" -}}
image: {{ include "firstword.image" (dict "root" . "image" .Values.tools.image "kind" "tools") }}
imagePullPolicy: {{ .Values.tools.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "firstword.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .Values.tools.resources | nindent 2 }}
{{- end -}}

{{- define "firstword.toolsEnv" -}}
- { name: HOME, value: /tmp }
- name: FIRSTWORD_API_KEY
  valueFrom:
    secretKeyRef: { name: {{ include "firstword.keysSecret" . }}, key: {{ .Values.keys.plainKey }} }
{{- end -}}
